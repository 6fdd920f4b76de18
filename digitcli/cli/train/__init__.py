"""``digitcli train``: its options, settings and messages."""
