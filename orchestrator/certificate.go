package orchestrator

import (
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
)

// ErrCertificate says that the certificate of the API or its key cannot be used.
var ErrCertificate = errors.New("the certificate cannot be used")

// certificate is what listeners encrypt with. A reload replaces it, since
// certificates are renewed.
type certificate struct {
	current atomic.Pointer[tls.Certificate]
}

// get is for tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// readCertificate returns nil where none is configured.
func readCertificate(c config.TLS) (*tls.Certificate, error) {
	if c == (config.TLS{}) {
		return nil, nil
	}
	read, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: %s with the key %s: %w", ErrCertificate, c.Cert, c.Key, err)
	}
	return &read, nil
}
