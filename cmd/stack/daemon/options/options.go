// Package options is what a daemon is started with. The command reads it from its own line, and writes the line of the daemon's program from it, which reads it
// again.
package options

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/stackrun/stack/internal/roots"
)

// Verb is the first word of a daemon's line.
const Verb = "daemon"

// Ready is what a daemon writes to ReadyFD when it, or another one, answers.
const Ready = "ready\n"

// Options of a daemon.
type Options struct {
	Roots       roots.Roots
	Config      string        // file
	Idle        time.Duration // leave after nothing was to do for this long; 0 = stay
	AutoStarted bool          // by a command: leave when idle
	ReadyFD     int           // where Ready goes; 0 = nowhere
	Remote      Remote
}

// Remote is about clients of other hosts; its flags have dockerd's names. Files are PEM.
type Remote struct {
	Hosts  []string // tcp://ADDRESS:PORT
	Verify bool
	CA     string // of the clients' certificates
	Cert   string // the daemon's
	Key    string
}

// Flags adds those of `stack daemon` to f; their defaults are what o has.
func (o *Options) Flags(f *pflag.FlagSet) {
	f.DurationVar(&o.Idle, "idle", o.Idle, "When started by another command, leave after nothing was to do for this long; 0 = stay. STACK_IDLE sets the default")
	f.BoolVar(&o.AutoStarted, "auto-started", o.AutoStarted, "Leave when idle")
	f.IntVar(&o.ReadyFD, "ready-fd", o.ReadyFD, "Say on this file descriptor when commands can connect")
	f.MarkHidden("ready-fd") //nolint:errcheck // it exists
	f.StringArrayVarP(&o.Remote.Hosts, "host", "H", nil, "Serve the Docker Engine API at tcp://ADDRESS:PORT too, with --tlsverify")
	f.BoolVar(&o.Remote.Verify, "tlsverify", false, "Let in who has a certificate that --tlscacert has signed")
	f.StringVar(&o.Remote.CA, "tlscacert", "", "Certificates of those who sign clients' certificates, PEM")
	f.StringVar(&o.Remote.Cert, "tlscert", "", "Certificate of this daemon, PEM")
	f.StringVar(&o.Remote.Key, "tlskey", "", "Its key, PEM")
}

// global are the flags that every command has, of which a daemon needs these.
func (o *Options) global(f *pflag.FlagSet) {
	f.StringVar(&o.Roots.State, "state-root", "", "")
	f.StringVar(&o.Roots.Run, "run-root", "", "")
	f.StringVar(&o.Config, "config", "", "")
}

// Line is the command line that says o: a user may type it.
func (o *Options) Line() []string {
	line := []string{Verb}
	add := func(flag, value string) {
		if value != "" {
			line = append(line, flag, value)
		}
	}
	add("--state-root", o.Roots.State)
	add("--run-root", o.Roots.Run)
	add("--config", o.Config)
	if o.AutoStarted {
		line = append(line, "--auto-started", "--idle", o.Idle.String())
	}
	if o.ReadyFD != 0 {
		add("--ready-fd", strconv.Itoa(o.ReadyFD))
	}
	for _, h := range o.Remote.Hosts {
		add("--host", h)
	}
	if o.Remote.Verify {
		line = append(line, "--tlsverify")
	}
	add("--tlscacert", o.Remote.CA)
	add("--tlscert", o.Remote.Cert)
	add("--tlskey", o.Remote.Key)
	return line
}

// Parse reads what Line has written, without its verb.
func Parse(line []string) (Options, error) {
	var o Options
	f := pflag.NewFlagSet(Verb, pflag.ContinueOnError)
	o.Flags(f)
	o.global(f)
	if err := f.Parse(line); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.Roots.State == "" || o.Roots.Run == "" {
		return o, fmt.Errorf("expected --state-root and --run-root")
	}
	return o, nil
}

// Check says what of r contradicts itself. Who can connect can do what root can, so nothing is served that does not ask for certificates.
func (r *Remote) Check() error {
	given := r.Verify || r.CA != "" || r.Cert != "" || r.Key != ""
	switch {
	case len(r.Hosts) == 0 && !given:
		return nil
	case len(r.Hosts) == 0:
		return fmt.Errorf("--tlsverify, --tlscacert, --tlscert and --tlskey are for --host tcp://ADDRESS:PORT, which is not given")
	case !r.Verify || r.CA == "" || r.Cert == "" || r.Key == "":
		return fmt.Errorf("--host needs --tlsverify, --tlscacert, --tlscert and --tlskey: without them everybody who can reach the port could do what root can")
	}
	for _, host := range r.Hosts {
		address, ok := strings.CutPrefix(host, scheme)
		if _, _, err := net.SplitHostPort(address); !ok || err != nil {
			return fmt.Errorf("invalid --host %q: expected tcp://ADDRESS:PORT; the unix socket is stack.sock below --run-root", host)
		}
	}
	return nil
}

// scheme is what a host begins with.
const scheme = "tcp://"

// Addresses are those of Hosts, for net.Listen. Precondition: Check has found nothing wrong.
func (r *Remote) Addresses() []string {
	var all []string
	for _, h := range r.Hosts {
		all = append(all, strings.TrimPrefix(h, scheme))
	}
	return all
}
