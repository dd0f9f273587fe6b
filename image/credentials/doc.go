// Package credentials is what registries are shown: what docker login and podman login have stored on this host, by themselves or with a helper, or what a client
// shows in its place.
//
// Called by image/registry. Touches: the files of these programs, read only, and docker-credential-helpers, which it runs.
package credentials
