package schema

import "strings"

// Form is what may be written for an attribute. A text with a variable may stand where a number or a
// boolean is meant.
type Form uint8

const (
	String         Form = iota + 1 // a text; a number must be quoted
	Scalar                         // a text, number or boolean
	Bool                           // true or false
	Int                            // a whole number, or a text that is one
	Number                         // a number, or a text that is one
	Size                           // bytes: a number, or a text such as 512m
	Duration                       // a text such as 1m30s
	Mode                           // permissions: a number, or a text in octal
	Word                           // one of the values
	Hint                           // a text; the values are those that are known
	PullPolicy                     // one of the values, or every_ and a duration
	Command                        // a command line, or a list of words
	Strings                        // a list of texts
	Texts                          // a list of texts, numbers or booleans
	OneOrMany                      // a text, or a list of them
	Options                        // a mapping of names to texts, numbers or booleans
	OptionLists                    // a mapping of names to one or a list of them
	Pairs                          // Options, or a list of NAME=value
	Hosts                          // a mapping of names to one or more addresses, or a list of NAME=ADDRESS
	Object                         // a mapping with fixed keys
	Named                          // a mapping of any names
	NamesOrNamed                   // a list of names, or a mapping of them
	Objects                        // a list of mappings with fixed keys
	ShortOrObjects                 // a list of texts or mappings
	EnvFiles                       // a text, or a list of texts or mappings
	Ports                          // a list of texts, numbers or mappings
	ObjectOrString                 // a text, or a mapping with fixed keys
	IntOrObject                    // a number, or a mapping with fixed keys
	BoolOrString                   // true, false or a text
	External                       // true or false; the old form is a mapping
	AllOrObjects                   // all, or a list of mappings
	CountOrAll                     // a whole number, or all
)

// Described is what editors tell of a place of the language.
type Described struct {
	Path   string // as in Attribute; also places that are no attribute: "services.*"
	Form   Form
	Text   string   // what it is for, a sentence or two
	Values []string // for Word, PullPolicy and Hint
}

// nullable are the attributes whose key may stand without a value: it is "not said" then. The required ones
// are here too: that they are missing is the better fault.
var nullable = map[string]bool{
	"networks": true, "volumes": true, "secrets": true, "configs": true, "models": true, "include": true,
	"services.*.image": true, "services.*.command": true, "services.*.entrypoint": true, "services.*.develop": true, "services.*.deploy": true,
	"services.*.extends": true, "services.*.extends.service": true, "services.*.extends.file": true,
	"include[].path": true, "include[].project_directory": true, "include[].env_file": true,
	"services.*.pre_start[].command": true, "services.*.post_start[].command": true, "services.*.pre_stop[].command": true, "services.*.develop.watch[].exec.command": true,
	"services.*.env_file[].path": true, "services.*.volumes[].type": true, "services.*.volumes[].target": true, "services.*.configs[].source": true,
	"services.*.secrets[].source": true, "services.*.build.secrets[].source": true, "services.*.ports[].target": true, "services.*.depends_on.*.condition": true,
}

// MayBeNull says whether the place may be written without a value. An entry of a mapping of names may.
func (d *Described) MayBeNull() bool {
	return d == nil || nullable[d.Path] || strings.HasSuffix(d.Path, ".*")
}

// Words are the values that may be written, true and false among them, nil when there is no list.
func (d *Described) Words() []string {
	switch {
	case d == nil:
		return nil
	case d.Form == Bool || d.Form == External || d.Form == BoolOrString:
		return []string{"true", "false"}
	case d.Form == AllOrObjects || d.Form == CountOrAll:
		return []string{"all"}
	}
	return d.Values
}

// descriptions are all of them, by section.
var descriptions = [][]Described{
	aboutModel, aboutProcess, aboutMounts, aboutNetwork, aboutResources, aboutLifecycle, aboutBuild, aboutDeploy,
}

// String says in a few words what may be written.
func (f Form) String() string {
	if int(f) < len(formNames) {
		return formNames[f]
	}
	return ""
}

var formNames = [...]string{
	String: "text", Scalar: "text or number", Bool: "true or false", Int: "whole number", Number: "number", Size: "size", Duration: "duration", Mode: "permissions",
	Word: "one of a list", Hint: "text", PullPolicy: "policy", Command: "command line or list", Strings: "list of texts", Texts: "list", OneOrMany: "text or list",
	Options: "mapping", OptionLists: "mapping", Pairs: "mapping or list of NAME=value", Hosts: "mapping or list of NAME=ADDRESS", Object: "object", Named: "mapping of names",
	NamesOrNamed: "list of names or mapping", Objects: "list of objects", ShortOrObjects: "list of texts or objects", EnvFiles: "text or list", Ports: "list of ports",
	ObjectOrString: "text or object", IntOrObject: "number or object", BoolOrString: "true, false or text", External: "true or false", AllOrObjects: "all or a list",
	CountOrAll: "number or all",
}
