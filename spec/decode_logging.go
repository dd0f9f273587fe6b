package spec

import (
	"fmt"
	"slices"

	"github.com/stackrun/stack/internal/logdriver"
	"github.com/stackrun/stack/spec/tree"
	"github.com/stackrun/stack/spec/units"
)

var loggingFields = fields[Logging]{
	"driver":  func(d *decoder, n *tree.Node, l *Logging) { l.Driver = d.logDriver(n) },
	"options": func(d *decoder, n *tree.Node, l *Logging) { l.Options = d.options(n) },
}

// logging decodes a driver and, when that is known, checks its options.
func (d *decoder) logging(n *tree.Node, l *Logging) {
	if !object(d, n, loggingFields, l) {
		return
	}
	options := n.Get("options")
	if logdriver.Sends(l.Driver) {
		d.sentOptions(n, options, l)
		return
	}
	if options == nil || options.Kind != tree.Mapping {
		return
	}
	unsent := n.Get("driver") != nil && unsentLog(n.Get("driver").Value) // its options are told of with it
	for _, p := range options.Pairs {
		switch {
		case p.Key.Value == "max-size" || p.Key.Value == "max-file":
			d.logLimit(p.Value, p.Key.Value)
		case unsent:
		default:
			d.note(p.Key, fmt.Sprintf("%s: only max-size and max-file have an effect", p.Key.Path), "")
		}
	}
}

// logDrivers are the drivers of logs that there are.
func logDrivers() []string {
	return append([]string{"json-file", "local", "none"}, logdriver.Names()...)
}

// unsentLog says whether driver sends a log where we do not: to a service with a protocol of its own (awslogs, gcplogs, splunk), or by a plugin of docker's engine
// (loki), which may have any name. One that is near to the name of a driver that there is is a slip.
func unsentLog(driver string) bool {
	known := logDrivers()
	return driver != "" && !slices.Contains(known, driver) && nearest(driver, known) == ""
}

// logDriver is the driver of a log. One that would send it where we do not is told of: the log is where logs finds it, as docker's is beside what is sent.
func (d *decoder) logDriver(n *tree.Node) string {
	s := d.str(n)
	if !unsentLog(s) {
		return d.anyOf(n, logDrivers()...)
	}
	d.note(n, fmt.Sprintf("%s: no log is sent to %s: it is kept on this host", n.Path, s), "read it with stack logs")
	if d.in.Purpose == ToRun {
		return ""
	}
	return s
}

// sentOptions checks the options n of logging at, whose driver sends. Those that bound the log on this host have other names there.
func (d *decoder) sentOptions(at, n *tree.Node, l *Logging) {
	if n.IsNull() {
		n = &tree.Node{}
	}
	for _, f := range logdriver.Check(l.Driver, l.Options) {
		if f.Missing {
			d.refuse(CodeMissing, at.Get("driver"), at.Path+".options."+f.Option+": "+f.Detail, f.Hint)
		}
		for _, p := range n.Pairs {
			switch {
			case p.Key.Value != f.Option || f.Missing:
			case f.Unknown:
				d.refuse(CodeUnknownKey, p.Key, p.Key.Path+": "+f.Detail, f.Hint)
			case f.Idle:
				d.note(p.Key, p.Key.Path+": "+f.Detail, f.Hint)
			default:
				d.unfit(p.Value, f.Detail, f.Hint)
			}
		}
	}
	for _, p := range n.Pairs {
		switch p.Key.Value {
		case "cache-max-size":
			d.logLimit(p.Value, "max-size")
		case "cache-max-file":
			d.logLimit(p.Value, "max-file")
		}
	}
}

// logLimit checks what bounds a log: max-size or max-file.
func (d *decoder) logLimit(v *tree.Node, what string) {
	if v.IsNull() {
		return
	}
	if what == "max-size" {
		if v.Value == "-1" {
			return
		}
		if _, err := units.Bytes(v.Text()); err != nil {
			d.unfit(v, fmt.Sprintf("%q is not a size: %v", v.Value, err), "write a size such as 10m")
		}
		return
	}
	if i, ok := v.Int(); !ok || i < 1 {
		d.unfit(v, fmt.Sprintf("%q is not a number of files", v.Value), "write 1 or more")
	}
}
