"""Settings of a home: ``mdc.toml``, ``.env`` beside it, and the environment, in rising precedence.

An unknown key is an error that names the nearest valid one. Secrets are never settings: a setting
names the environment variable that holds one (``key_env``), and :class:`Secrets` reads it from the
environment, from ``.env`` or from the file that ``<NAME>_FILE`` points at.

``sections`` says what may stand in the file, ``home`` what is found from it, ``loading`` how it is read.
"""

from mdc_resources.config.home import ENV_FILE, FILE_NAME, Home, Secrets, Settings
from mdc_resources.config.loading import find, load
from mdc_resources.config.sections import (
    DagsterSettings,
    DatasetSettings,
    IngestSettings,
    LakeSettings,
    Limits,
    ProviderSettings,
    RecoverySettings,
    SandboxSettings,
    ScheduleSettings,
    SearchSettings,
    SlaSettings,
    TransportSettings,
    UniverseSettings,
)

__all__ = [
    "ENV_FILE",
    "FILE_NAME",
    "DagsterSettings",
    "DatasetSettings",
    "Home",
    "IngestSettings",
    "LakeSettings",
    "Limits",
    "ProviderSettings",
    "RecoverySettings",
    "SandboxSettings",
    "ScheduleSettings",
    "SearchSettings",
    "Secrets",
    "Settings",
    "SlaSettings",
    "TransportSettings",
    "UniverseSettings",
    "find",
    "load",
]
