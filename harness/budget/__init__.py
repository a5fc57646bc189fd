"""Clock, meter, phases and ledger: where time goes, who may spend it, and what was spent."""
