package crash

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"
)

// reads change nothing on the host, so that a kill around them is no other case than one around what stands next to them.
// Exec's process is the container's own, and so are the files of a CopyIn: no record speaks of them.
var reads = []string{
	// What HoldPort holds is the process's own socket.
	"Images.Resolve", "Images.Find", "Images.Snapshots", "Images.List",
	"Builder.ContextDir", "Builder.Clear", "Builder.Lacks", // of a cache that may be lost at any time
	"Images.Push", // what it changes is a registry's, and one line of a record that is replaced at once
	// Of images alone: each of them is one step of the store, whose own points are around what the kernel keeps.
	"Library.Resolve", "Library.List", "Library.Load", "Library.Push", "Library.PullAs", "Library.Tag", "Library.DeleteImage", "Library.ConfigFile", "Library.Layers", "Library.Changes", "Library.Manifest", "Library.CheckAuth", "Library.Save", "Library.Import",
	"Networks.List", "Networks.CheckNetwork", "Networks.CheckPorts", "Networks.HoldPort", "Networks.ReleasePorts", "Networks.KeepAddresses", "Networks.Sandboxes", "Networks.HostGateway", "Networks.Watch",
	"Volumes.List", "Volumes.Snapshots", "Volumes.Removed", "Volumes.Watch",
	"Sweeper.Sweep", // it removes, but only what nobody has: whatever is left is found again
	"Containers.List", "Containers.Select", "Containers.State", "Containers.Wait", "Containers.Exec", "Containers.CopyIn", "Containers.CompareFiles", "Containers.RemoveFiles", "Containers.CopyOut", "Containers.Export", "Containers.Attach", "Containers.Resize", "Containers.Events", "Containers.Processes", "Containers.Listening", "Containers.Usage", "Containers.Watch",
}

// TestEveryCallThatChangesTheHostIsWrapped: a method that the drivers get later is wrapped, or named above as one that only
// reads.
func TestEveryCallThatChangesTheHostIsWrapped(t *testing.T) {
	wrapped := map[string]bool{}
	for _, d := range parse(t, "crash.go").Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil {
			recv := f.Recv.List[0].Type.(*ast.Ident).Name
			wrapped[map[string]string{"images": "Images", "networks": "Networks", "volumes": "Volumes", "containers": "Containers", "builder": "Builder"}[recv]+"."+f.Name.Name] = true
		}
	}
	total := 0
	ast.Inspect(parse(t, "../driver.go"), func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		i, ok := spec.Type.(*ast.InterfaceType)
		if !ok {
			return true
		}
		for _, m := range i.Methods.List {
			for _, name := range m.Names {
				total++
				method := spec.Name.Name + "." + name.Name
				if wrapped[method] == slices.Contains(reads, method) {
					t.Errorf("%s is wrapped: %v, and it is among the methods that only read: %v; expected one of them", method, wrapped[method], !wrapped[method])
				}
			}
		}
		return true
	})
	if total < len(reads)+len(wrapped) {
		t.Errorf("%d methods in driver.go, %d wrapped, %d that read: one of them is no more", total, len(wrapped), len(reads))
	}
}

func parse(t *testing.T, path string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
