package runtime

// Check says why Create would refuse c; nil when it would not. Pure.
func Check(c *Config) error { return checkConfig(c) }
