package buildcache

import (
	"strings"
	"testing"
)

func TestFrom(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for _, c := range []struct {
		text       string
		want       Place
		void, fail string // a part of each
	}{
		{text: "app:cache", want: Place{Type: Registry, Ref: "app:cache"}},
		{text: "type=registry,ref=registry.example:5000/a/b", want: Place{Type: Registry, Ref: "registry.example:5000/a/b"}},
		{text: "type=local,src=.cache", want: Place{Type: Local, Dir: ".cache", Tag: "latest"}},
		{text: `"src=a,b",type=local,tag=main`, want: Place{Type: Local, Dir: "a,b", Tag: "main"}},
		{text: "type=local,src=a,tag=main,digest=" + digest, want: Place{Type: Local, Dir: "a", Tag: digest}},
		{text: "type=local,src=a,digest=main", fail: "digest=main: "},
		{text: "type=registry,ref=a,mode=max,ignore-error=true", want: Place{Type: Registry, Ref: "a"}, void: "mode=max has no effect: it is an option of cache_to"},
		{text: "type=registry,ref=a,insecure=true", fail: "type=registry has no option insecure"},
		{text: "type=gha,scope=x", void: "type=gha is not supported"},
		{text: "type=s3,bucket=b", void: "type=s3 is not supported"},
		{text: "type=azblob,name=n", void: "type=azblob is not supported"},
		{text: "type=floppy", fail: "type=floppy is not known, expected local, registry or inline"},
		{text: "ref=app", fail: "it has no type"},
		{text: "type=local", fail: "type=local has no src"},
		{text: "type=local,dest=x", fail: "type=local has no src"},
		{text: "type=registry", fail: "type=registry has no ref"},
		{text: "type=registry,ref=App", fail: "lower case"},
		{text: "type=local,src", fail: `expected NAME=VALUE in place of "src"`},
		{text: "", fail: "EOF"},
	} {
		got, void, err := From(c.text)
		check(t, c.text, got, c.want, void, c.void, err, c.fail)
	}
}

func TestTo(t *testing.T) {
	for _, c := range []struct {
		text       string
		want       Place
		void, fail string
	}{
		{text: "app:cache", want: Place{Type: Registry, Ref: "app:cache"}},
		{text: "type=registry,ref=app:cache,mode=max,ignore-error=true,image-manifest=true,oci-mediatypes=true,compression=gzip", want: Place{Type: Registry, Ref: "app:cache", All: true, IgnoreError: true}},
		{text: "type=local,dest=/c,mode=min", want: Place{Type: Local, Dir: "/c", Tag: "latest"}},
		{text: "type=inline", want: Place{Type: Inline}},
		{text: "type=inline,mode=max", want: Place{Type: Inline}, void: "mode=max has no effect"},
		{text: "type=local,dest=/c,compression=zstd", want: Place{Type: Local, Dir: "/c", Tag: "latest"}, void: "compression=zstd has no effect"},
		{text: "type=registry,ref=a,image-manifest=false", want: Place{Type: Registry, Ref: "a"}, void: "image-manifest=false has no effect"},
		{text: "type=gha,mode=max", void: "type=gha is not supported"},
		{text: "type=local,dest=/c,mode=most", fail: "mode=most: expected min or max"},
		{text: "type=local,dest=/c,ignore-error=perhaps", fail: "ignore-error=perhaps"},
		{text: "type=local,src=/c", fail: "type=local has no option src"},
		{text: "type=local", fail: "type=local has no dest"},
		{text: "type=inline,ref=a", fail: "type=inline has no option ref"},
		{text: "type=registry,ref=a@sha256:" + strings.Repeat("0", 64), fail: "a digest is not given"},
	} {
		got, void, err := To(c.text)
		check(t, c.text, got, c.want, void, c.void, err, c.fail)
	}
}

func check(t *testing.T, text string, got, want Place, void, wantVoid string, err error, fail string) {
	t.Helper()
	switch {
	case (err != nil) != (fail != "") || err != nil && !strings.Contains(err.Error(), fail):
		t.Errorf("%q: the error is %v, expected %q", text, err, fail)
	case got != want:
		t.Errorf("%q: %+v, expected %+v", text, got, want)
	case (void != "") != (wantVoid != "") || !strings.Contains(void, wantVoid):
		t.Errorf("%q: without effect is %q, expected %q", text, void, wantVoid)
	}
}
