"""What the archive tells about itself: logs, counters, and the masking both rely on."""

from mdc_resources.telemetry.logs import get_logger, setup_logging
from mdc_resources.telemetry.masking import mask_bytes, mask_text, mask_url, register_secret

__all__ = ["get_logger", "mask_bytes", "mask_text", "mask_url", "register_secret", "setup_logging"]
