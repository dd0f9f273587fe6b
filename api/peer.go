package api

import "context"

type peerKey struct{}

// WithPeer is ctx of what is asked for by the user of that name on the daemon's socket.
func WithPeer(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, peerKey{}, name)
}

// Peer is who asks, as the daemon tells users from each other; "" = it does not know.
func Peer(ctx context.Context) string {
	name, _ := ctx.Value(peerKey{}).(string)
	return name
}
