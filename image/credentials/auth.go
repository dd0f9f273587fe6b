package credentials

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Auth is what a client shows to a registry in place of what this host has stored. The zero value shows nothing. It is for the registry that
// an image's name says, and no mirror of it sees it.
type Auth struct {
	Username      string
	Password      string
	IdentityToken string // a refresh token that is exchanged for others
	RegistryToken string // a bearer token, as it is
}

// Authenticator shows a. a is not nil.
func (a *Auth) Authenticator() authn.Authenticator {
	if *a == (Auth{}) {
		return authn.Anonymous
	}
	return authn.FromConfig(authn.AuthConfig{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken})
}

// Key tells one from another without saying what it is. nil has one too.
func (a *Auth) Key() string {
	if a == nil {
		return ""
	}
	b, _ := json.Marshal(a) // strings alone: no error is possible
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
