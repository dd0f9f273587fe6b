package spec_test

import (
	"context"
	"fmt"
	"testing/fstest"

	"github.com/stackrun/stack/spec"
)

func ExampleLoad() {
	files := fstest.MapFS{
		"srv/shop/compose.yaml": {Data: []byte("services:\n  web:\n    image: nginx:${TAG}\n    ports: [\"8080:80\"]\n")},
		"srv/shop/.env":         {Data: []byte("TAG=1.22\n")},
	}
	where, faults := spec.Locate(context.Background(), files, spec.Request{Cwd: "/srv/shop"})
	if faults.HasErrors() {
		fmt.Println(faults.Err())
		return
	}
	project, faults := spec.Load(context.Background(), where.Input(files))
	if faults.HasErrors() {
		fmt.Println(faults.Err())
		return
	}
	web := project.Services["web"]
	fmt.Println(project.Name, web.Image, web.Ports[0].Published, project.Sources.At("services.web.image").Start)
	// Output: shop nginx:1.22 8080 /srv/shop/compose.yaml:3:12
}

func ExampleLoad_faults() {
	files := fstest.MapFS{"srv/compose.yaml": {Data: []byte("services:\n  web:\n    image: nginx\n    prots: [\"80\"]\n    depends_on: [db]\n")}}
	_, faults := spec.Load(context.Background(), spec.Input{FS: files, Files: []string{"/srv/compose.yaml"}, Dir: "/srv"})
	for _, f := range faults {
		fmt.Println(f.Error())
	}
	// Output:
	// /srv/compose.yaml:4:5: unknown key: "prots" in services.web (did you mean "ports"?)
	// /srv/compose.yaml:5:18: undefined reference: service "web" depends on "db", which is not defined (valid here: web)
}

func ExampleVariables() {
	files := fstest.MapFS{"c.yaml": {Data: []byte("services: {a: {image: \"x:${TAG:-1}-${ARCH:?}$$N\"}}")}}
	list, _ := spec.Variables(context.Background(), spec.Input{FS: files, Files: []string{"/c.yaml"}})
	for _, v := range list {
		fmt.Printf("%s required=%t default=%q\n", v.Name, v.Required, v.Default)
	}
	// Output:
	// ARCH required=true default=""
	// TAG required=false default="1"
}
