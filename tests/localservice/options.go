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
)

// Options say where an instance lives and how it runs.
type Options struct {
	// Dir is the instance's own directory, data and log included; it is created where it is missing.
	// Where the server's user could not enter it, the data lives below /var/lib/holdfast and Dir is a
	// link to it.
	Dir string
	// Port is the wanted port; 0 picks a free one, a taken one moves to the next free one.
	Port int
	// ManagementPort is the wanted port of RabbitMQ's web console, by the same rules. The other
	// services ignore it.
	ManagementPort int
	// Volatile trades durability for speed: what is written may be lost when the machine stops. For
	// tests only.
	Volatile bool
	// Settings are further settings of PostgreSQL, as in "shared_buffers=1GB". The others ignore them.
	Settings []string
	// Log receives what a person wants to know: a moved port, a server taken over. Nil is silent.
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
