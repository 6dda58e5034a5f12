"""Are results whole, and may they be read as one study? Of runs measured here and copied here."""
