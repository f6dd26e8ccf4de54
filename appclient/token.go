package appclient

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TokenSource gives the bearer token for a connection. It is asked once per
// HTTP request, since the server checks a token only then.
type TokenSource interface {
	Token(ctx context.Context) (string, error)
}

// StaticToken is a fixed token. It prints as "[redacted]".
type StaticToken string

// Token implements TokenSource.
func (t StaticToken) Token(context.Context) (string, error) {
	token := strings.TrimSpace(string(t))
	if token == "" {
		return "", errors.New("the token is empty")
	}
	return token, nil
}

// String hides the token.
func (StaticToken) String() string { return "[redacted]" }

// GoString hides the token.
func (StaticToken) GoString() string { return "[redacted]" }

// MarshalText hides the token.
func (StaticToken) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

type tokenFile string

// TokenFile reads the token from a file each time, without surrounding white space.
func TokenFile(path string) TokenSource { return tokenFile(path) }

// Token implements TokenSource.
func (f tokenFile) Token(context.Context) (string, error) {
	data, err := os.ReadFile(string(f))
	if err != nil {
		return "", fmt.Errorf("read token file: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", fmt.Errorf("token file %s is empty", string(f))
	}
	return token, nil
}

// SignedTokenConfig describes the JWTs for a server that runs with
// --ws-auth signed-bearer-token.
type SignedTokenConfig struct {
	// Secret is the shared secret; at least 32 bytes after trimming white space, as the server demands.
	Secret []byte
	// Issuer and Audience must equal what the server is configured with, if it is.
	Issuer   string
	Audience string
	// TTL is how long a token is valid; 5 minutes when zero. It matters only
	// for the moment of connecting.
	TTL time.Duration
}

// signedToken keeps the secret behind a pointer, so that printing the source shows an address only.
type signedToken struct{ cfg *SignedTokenConfig }

// SignedToken makes a fresh HS256 token for each connection.
func SignedToken(cfg SignedTokenConfig) TokenSource { return signedToken{&cfg} }

// Token implements TokenSource.
func (s signedToken) Token(context.Context) (string, error) {
	secret := []byte(strings.TrimSpace(string(s.cfg.Secret)))
	if len(secret) < 32 {
		return "", fmt.Errorf("sign token: the shared secret has %d bytes, the App Server demands at least 32", len(secret))
	}
	ttl := s.cfg.TTL
	if ttl <= 0 {
		ttl = 5 * time.Minute
	}
	// A MapClaims with an int64: the server refuses an exp that is not an integer.
	claims := jwt.MapClaims{"exp": time.Now().Add(ttl).Unix()}
	if s.cfg.Issuer != "" {
		claims["iss"] = s.cfg.Issuer
	}
	if s.cfg.Audience != "" {
		claims["aud"] = s.cfg.Audience
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return token, nil
}

// String hides the secret.
func (signedToken) String() string { return "[redacted]" }

// GoString hides the secret.
func (signedToken) GoString() string { return "[redacted]" }
