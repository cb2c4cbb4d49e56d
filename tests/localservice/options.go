package localservice

import (
	"errors"
	"log/slog"
)

// The ports of the development stack. They differ from the usual ones, which a server started by the
// distribution's package may have taken.
const (
	DefaultPostgresPort           = 5433
	DefaultRedisPort              = 6380
	DefaultRabbitMQPort           = 5673
	DefaultRabbitMQManagementPort = 15673
	DefaultPrometheusPort         = 9095
)

// Options say where an instance lives and how it runs.
type Options struct {
	// Dir is the instance's own directory, with data and log; the start creates it if it is missing.
	// If the server's user cannot enter it, the data lies below /var/lib/holdfast and Dir is a link to it.
	Dir string
	// Port is the wanted port; 0 picks a free port. If the wanted port is taken, the next free port is used.
	Port int
	// ManagementPort is the wanted port of RabbitMQ's web console, by the same rules. The other
	// services ignore it.
	ManagementPort int
	// Volatile trades durability for speed: written data may be lost when the machine stops. For tests only.
	Volatile bool
	// Settings are further settings of PostgreSQL, as in "shared_buffers=1GB". The others ignore them.
	Settings []string
	// TLS makes the server accept connections with TLS as well; nil means none.
	TLS *TLS
	// Log receives messages for people: a moved port, a server taken over. Nil is silent.
	Log *slog.Logger
}

func (o Options) checked() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("an instance needs a directory")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, nil
}
