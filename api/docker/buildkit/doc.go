// Package buildkit answers what docker's plugin buildx, and docker compose by way of it, ask for a build: the part of BuildKit's protocol that the plugin's driver "docker" uses.
//
// A build's way: the client opens a connection of calls (POST /grpc) and one on which it is called (POST /session, package session). Control.Solve announces the build; the client, being
// the "frontend", asks LLBBridge.Solve what comes of a Dockerfile, and gets a name for it, and says by Return that this is what it wants; only then the sources are fetched
// from the client, and the engine builds, the same build as by POST /build. Control.Status is told of each step. What cannot be done is refused by its name.
//
// Sources: https://github.com/moby/buildkit/blob/v0.32.2/client/solve.go, https://github.com/moby/buildkit/blob/v0.32.2/client/build.go,
// https://github.com/moby/buildkit/blob/v0.32.2/frontend/dockerui/config.go, https://github.com/docker/buildx/blob/v0.36.1/build/opt.go
//
// Called by api/docker. May touch: the clients' connections, and by its Engine what builds touch.
package buildkit
