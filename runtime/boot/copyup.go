package boot

func copyUp(volume, image int) error { panic("next") }
