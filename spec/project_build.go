package spec

// Build is how the image of a service is made.
type Build struct {
	Context            string // absolute, or a URL
	Dockerfile         string // relative to Context
	DockerfileInline   string
	Args               map[string]*string // nil = the builder's own environment
	Target             string
	AdditionalContexts map[string]string // path, URL or service:NAME
	Labels             map[string]string
	Tags               []string
	Platforms          []string
	CacheFrom          []string
	CacheTo            []string
	NoCache            bool
	NoCacheFilter      []string
	Pull               bool
	Network            string
	ExtraHosts         []HostEntry
	Secrets            []FileUse // Target is the id, "" = the source's name
	SSH                []SSHKey
	ShmSize            int64
	Ulimits            map[string]Ulimit
	Privileged         bool
	Entitlements       []string
	Isolation          string
	Provenance         string
	SBOM               string
}

// SSHKey is an agent that RUN --mount=type=ssh can use. Path is its socket; "" = the one of the command's environment.
type SSHKey struct{ ID, Path string }

// Hook is a command that runs beside a container: before its start, after it, before
// its stop, or after files were synchronised into it.
type Hook struct {
	Command     []string // nil = the image's
	Image       string   // of pre_start: "" = the service's
	User        string
	Privileged  bool
	WorkingDir  string
	Environment map[string]*string // nil = the project's
	PerReplica  bool
}

// Watch is one rule of develop.watch.
type Watch struct {
	Path        string // absolute
	Action      string
	Target      string
	Exec        *Hook
	Include     []string
	Ignore      []string
	InitialSync bool
}

// Provider is a program that stands for a service's container.
type Provider struct {
	Type    string
	Options map[string][]string
	// Provided is what the program has set; nil = it has not run. Load leaves it nil: who loads the file runs the program.
	Provided *Provided
}

// Provided are variables for the services that depend on a provider's: Prefixed with the upper-case name of its service and _ in front, Raw
// as they are.
type Provided struct{ Prefixed, Raw map[string]string }

// Model is a top-level model; ModelUse tells a service about it.
type Model struct {
	Key          string
	Name         string
	Model        string
	ContextSize  int64
	RuntimeFlags []string
	Endpoint     string // where its runner answers, "" = not known. Load leaves it empty: who loads the file asks the runner.
}

type ModelUse struct{ EndpointVar, ModelVar string }
