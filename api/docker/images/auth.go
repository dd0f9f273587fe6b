package images

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/moby/moby/api/types/registry"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// credentials reads the header X-Registry-Auth: base64url of JSON. nil without one, and with one that has nothing to show: then what this host has stored is
// as good. Its text is in no error.
func credentials(r *http.Request) (*image.Auth, error) {
	text := r.Header.Get(registry.AuthHeader)
	if text == "" {
		return nil, nil
	}
	var conf registry.AuthConfig
	if err := decodeAuth(text, &conf); err != nil {
		return nil, err
	}
	return auth(conf)
}

// decodeAuth reads such a header.
func decodeAuth(text string, to any) error {
	// Clients write it with padding or without, and some in the standard alphabet.
	raw, err := base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "=")))
	if err == nil {
		err = json.Unmarshal(raw, to)
	}
	if err != nil {
		return errdefs.With(errdefs.ErrInvalidArgument, errors.New("invalid credentials: expected base64url of JSON"))
	}
	return nil
}

func auth(conf registry.AuthConfig) (*image.Auth, error) {
	a := &image.Auth{Username: conf.Username, Password: conf.Password, IdentityToken: conf.IdentityToken, RegistryToken: conf.RegistryToken}
	if conf.Auth != "" && a.Username == "" {
		raw, err := base64.StdEncoding.DecodeString(conf.Auth)
		user, pass, ok := strings.Cut(strings.TrimRight(string(raw), "\x00"), ":")
		if err != nil || !ok {
			return nil, errdefs.With(errdefs.ErrInvalidArgument, errors.New("invalid credentials: auth is not base64 of user:password"))
		}
		a.Username, a.Password = user, pass
	}
	if *a == (image.Auth{}) {
		return nil, nil
	}
	return a, nil
}

// builderCredentials reads the header X-Registry-Config: the credentials of a build by registry.
func builderCredentials(r *http.Request) (map[string]*image.Auth, error) {
	text := r.Header.Get("X-Registry-Config")
	if text == "" {
		return nil, nil
	}
	var all map[string]registry.AuthConfig
	if err := decodeAuth(text, &all); err != nil {
		return nil, err
	}
	out := map[string]*image.Auth{}
	for server, conf := range all {
		a, err := auth(conf)
		if err != nil {
			return nil, err
		}
		// Clients write https://index.docker.io/v1/ for docker.io, and hosts with a scheme.
		_, host, found := strings.Cut(server, "://")
		if !found {
			host = server
		}
		host, _, _ = strings.Cut(host, "/")
		if ref, err := reference.Parse(host + "/x"); err == nil && a != nil {
			out[ref.Host] = a
		}
	}
	return out, nil
}

// denied gives an answer of 401 to what a registry does not allow, and to others what they have.
func denied(err error) error {
	if errors.Is(err, image.ErrDenied) {
		return wire.WithStatus(http.StatusUnauthorized, err)
	}
	return err
}

func (h *handlers) auth(w http.ResponseWriter, r *http.Request) error {
	var conf registry.AuthConfig
	if err := wire.Decode(w, r, &conf, "email"); err != nil {
		return err
	}
	a, err := auth(conf)
	if err != nil {
		return err
	}
	if a == nil {
		return errdefs.With(errdefs.ErrInvalidArgument, errors.New("cannot log in: there is neither a user and a password nor a token"))
	}
	if err := h.engine.CheckAuth(r.Context(), conf.ServerAddress, *a); err != nil {
		return denied(err)
	}
	return wire.JSON(w, http.StatusOK, map[string]string{"Status": "Login Succeeded", "IdentityToken": ""})
}

func (h *handlers) distribution(w http.ResponseWriter, r *http.Request) error {
	a, err := credentials(r)
	if err != nil {
		return err
	}
	m, err := h.engine.RemoteImage(r.Context(), r.PathValue("name"), a)
	if err != nil {
		return denied(err)
	}
	// As registry.DistributionInspect, whose members are of another library's types of the same form.
	return wire.JSON(w, http.StatusOK, struct {
		Descriptor v1.Descriptor
		Platforms  []v1.Platform
	}{v1.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size}, append([]v1.Platform{}, m.Platforms...)})
}

// named is a reference of a query: a name, and a tag or digest beside it.
func named(name, tag string) (string, error) {
	switch {
	case name == "":
		return "", errdefs.With(errdefs.ErrInvalidArgument, errors.New("cannot do this without the name of an image"))
	case tag == "":
		return name, nil
	case strings.Contains(tag, ":"):
		return name + "@" + tag, nil
	}
	ref, err := reference.Parse(name + ":" + tag)
	if err != nil {
		return "", fmt.Errorf("invalid reference format: %w", err)
	}
	return ref.Familiar(), nil
}
