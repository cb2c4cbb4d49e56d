// Package clienttls makes the TLS settings with which a process connects to a server: the authority that it trusts, and
// its own certificate for servers that want one (mutual TLS). It is pure.
package clienttls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// Config has the settings, as PEM. All are optional.
type Config struct {
	CA          string // the authorities that the process trusts; empty means those of the system
	Certificate string // the process's own, with the authorities between it and the root
	Key         string // of Certificate
	ServerName  string // the name in the server's certificate; empty means the host of the address
}

// Given reports whether any setting is given.
func (c Config) Given() bool { return c != Config{} }

// Build returns the settings. It refuses versions of TLS before 1.2. The errors do not repeat the key.
func (c Config) Build() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CA != "" {
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM([]byte(c.CA)) {
			return nil, errors.New("the authority (CA) has no certificate in PEM")
		}
	}
	switch {
	case (c.Certificate == "") != (c.Key == ""):
		return nil, errors.New("a certificate and its key are set together")
	case c.Certificate != "":
		pair, err := tls.X509KeyPair([]byte(c.Certificate), []byte(c.Key))
		if err != nil {
			return nil, fmt.Errorf("the certificate and its key do not belong together or are no PEM: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}
