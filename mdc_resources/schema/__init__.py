"""Canonical Arrow schemas (:mod:`.arrow`) and the checks of their content (:mod:`.checks`)."""
