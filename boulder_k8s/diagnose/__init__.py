"""What is wrong, and with what: the doctor, the bundle, the probable cause."""
