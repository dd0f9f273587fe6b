package cli

// Flags are those that hold for every verb and stand before it, but for how things are shown, which the console has.
type Flags struct {
	Files        []string
	Name         string
	Profiles     []string
	EnvFiles     []string
	ProjectDir   string
	Parallel     int // at once; 0 leaves the bound to the engine
	AllResources bool
	Isolated     *bool // nil = not given
	Offline      *bool // nil = not given

	StateRoot, RunRoot, Config string
}

// NoProject marks, in a command's annotations, a verb that looks at no Compose file: .env does not concern it.
const NoProject = "no-project"
