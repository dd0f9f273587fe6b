// Package e2e tests the built binary from end to end, as a user runs it: commands, files, exit codes and output,
// and what clients of the containers see.
//
// Everything happens in a machine of the tests' own (internal/sandbox): namespaces with only lo. Images come
// from a registry on its loopback (internal/registry) that serves the images of internal/testimage under
// their public names. One daemon serves most tests, each with a project of its own; a test that kills the daemon, fills its
// disk or wants another configuration starts its own.
//
// STACK_TEST_BIN names the binary; `make test` sets it.
package e2e
