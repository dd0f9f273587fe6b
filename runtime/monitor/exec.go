package monitor
func ExecMain() int { return 1 }
