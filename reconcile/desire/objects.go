package desire

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// maxObject bounds a config or secret, bytes. docker's bound for swarm configs is 1000 kB; these live in memory.
const maxObject = 16 << 20

// ReadObject reads the file of a config or secret.
func ReadObject(o *spec.FileObject) ([]byte, error) {
	f, err := os.Open(o.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", o.File)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxObject+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxObject {
		return nil, fmt.Errorf("%s is larger than %d MiB", o.File, maxObject>>20)
	}
	return b, nil
}

// DigestFiles puts the digest of each config's and secret's file into want, so that a change of the content is a
// change of the container. A file that is not there is found here, before anything happens; it has no digest.
func DigestFiles(p *spec.Project, want *plan.Desired) diag.List {
	digests := map[string]string{}
	var diags diag.List
	fill := func(service, kind string, objects map[string]*spec.FileObject, files []plan.File) {
		for i := range files {
			f := &files[i]
			o := objects[f.Source]
			at := fmt.Sprintf("services.%s.%s[%d]", service, kind, i)
			what := strings.TrimSuffix(kind, "s")
			if o == nil || o.External {
				detail := fmt.Sprintf("service %s uses %s %s, which the file does not define", service, what, f.Source)
				if o != nil {
					detail = fmt.Sprintf("%s %s is external, and this platform has no store of %s", what, f.Source, kind)
				}
				diags = append(diags, &diag.Diagnostic{Code: diag.Code("missing-" + what), Summary: "a " + what + " is not there", Detail: detail, Address: at, Subject: p.Sources.At(spec.Path(at))})
				continue
			}
			if o.File == "" {
				continue
			}
			if _, read := digests[o.File]; !read {
				b, err := ReadObject(o)
				sum := sha256.Sum256(b)
				digests[o.File] = hex.EncodeToString(sum[:])
				if err != nil {
					digests[o.File] = ""
					hint := "create the file, or correct its path"
					if !errors.Is(err, fs.ErrNotExist) {
						hint = ""
					}
					at = kind + "." + f.Source + ".file"
					diags = append(diags, &diag.Diagnostic{Code: diag.Code("missing-" + what), Summary: "the file of a " + what + " cannot be read", Detail: fmt.Sprintf("%s %s of service %s: %v", what, f.Source, service, err),
						Hint: hint, Address: at, Subject: p.Sources.At(spec.Path(at)), Err: err})
				}
			}
			f.Digest = digests[o.File]
		}
	}
	for name, s := range want.Services {
		fill(name, "configs", p.Configs, s.Spec.Configs)
		fill(name, "secrets", p.Secrets, s.Spec.Secrets)
	}
	diags.Sort()
	return diags
}
