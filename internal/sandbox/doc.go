// Package sandbox gives kernel tests a machine of their own: it re-executes the
// test binary in new mount, network, pid, ipc, uts and cgroup namespaces, with
// only lo, no route out, fresh tmpfs on /run and /tmp, and a cgroup parent that is removed
// at the end. Whatever a test does to links, mounts, nftables or cgroups dies with it.
//
// Use it from TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }
//
// and at the head of a test that must leave nothing behind:
//
//	sandbox.LeavesNothing(t)
//
// Three processes stand in a row. The outer one (the `go test` child) makes the cgroups and waits.
// The init, pid 1 of the new namespaces, mounts, raises lo and reaps orphans, as monitors that outlive
// their daemon become. The test binary proper runs as its child.
package sandbox
