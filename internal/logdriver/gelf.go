package logdriver

// GELFAddress reads the option gelf-address, which has a port.
func GELFAddress(text string) (Address, error) { return ParseAddress(text, 0, "udp", "tcp") }
