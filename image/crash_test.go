package image

const childEnv = "STACK_IMAGE_TEST_CHILD"

func pullChild(dir string) int { return 0 }
