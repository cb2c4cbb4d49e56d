package localservice

import (
	"errors"
	"os"
	"path/filepath"
)

// TLS is what a server needs for connections with TLS, as PEM.
type TLS struct {
	CA          string // Redis and RabbitMQ want a certificate of this authority from their clients; PostgreSQL does not
	Certificate string
	Key         string
}

// tlsFiles are the files that a server reads.
type tlsFiles struct{ ca, certificate, key string }

// writeTLS writes the files for the server's user alone.
func (i *instance) writeTLS(t TLS) (tlsFiles, error) {
	files := tlsFiles{
		ca:          filepath.Join(i.dir, "ca.pem"),
		certificate: filepath.Join(i.dir, "server.pem"),
		key:         filepath.Join(i.dir, "server.key"),
	}
	for path, content := range map[string]string{files.ca: t.CA, files.certificate: t.Certificate, files.key: t.Key} {
		if err := errors.Join(os.WriteFile(path, []byte(content), 0o600), i.owner.chown(path)); err != nil {
			return files, err
		}
	}
	return files, nil
}
