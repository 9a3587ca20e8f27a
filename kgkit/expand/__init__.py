"""Phase I (ALIA, section 4.1): discover sensors, link them to failure modes, describe what is linked (KD_Base)."""
