// Package message has the messages of BuildKit's protocol that are read or written here, with the fields that mean something here; others are skipped, as
// protocol buffers ask for. ADR 80 says why they are written by hand.
//
// Source: https://github.com/moby/buildkit/tree/v0.32.2, api/services/control/control.proto, frontend/gateway/pb/gateway.proto, session/*/*.proto and solver/pb/ops.proto;
// https://github.com/tonistiigi/fsutil, types/*.proto
//
// Called by the packages beside it. May touch: nothing.
package message
