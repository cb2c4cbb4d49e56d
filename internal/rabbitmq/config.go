package rabbitmq

import (
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"holdfast/internal/clienttls"
)

// Config says where RabbitMQ is.
type Config struct {
	URL            string        `env:"AMQP_URL,required,notEmpty"` // or amqps:// for TLS; the path is the virtual host
	CA             string        `env:"AMQP_TLS_CA"`
	Certificate    string        `env:"AMQP_TLS_CERTIFICATE"`
	Key            string        `env:"AMQP_TLS_KEY"`
	ConnectTimeout time.Duration `env:"AMQP_CONNECT_TIMEOUT" envDefault:"5s"`
	// Heartbeat is the interval in which both sides show that they live. A connection that has been silent for two
	// intervals is lost.
	Heartbeat time.Duration `env:"AMQP_HEARTBEAT" envDefault:"10s"`
	// ConfirmTimeout is how long a publisher waits until the broker confirms what it has published. A broker that takes
	// longer is treated as lost. Time during which the broker has blocked the connection does not count.
	ConfirmTimeout time.Duration `env:"AMQP_CONFIRM_TIMEOUT" envDefault:"10s"`
	// ReconnectMax bounds the wait before the next attempt to connect.
	ReconnectMax time.Duration `env:"AMQP_RECONNECT_MAX" envDefault:"5s"`
}

// tls are the settings of a connection with TLS.
func (c Config) tls() clienttls.Config {
	return clienttls.Config{CA: c.CA, Certificate: c.Certificate, Key: c.Key}
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	address, err := amqp.ParseURI(c.URL)
	switch {
	case err != nil && c.URL != "":
		// The message leaves out the cause, which may repeat the URL with its password.
		faults = append(faults,
			errors.New("AMQP_URL is no address of a RabbitMQ server, such as amqp://user:password@127.0.0.1:5672/"))
	case err == nil && address.Scheme != "amqps" && c.tls().Given():
		faults = append(faults, errors.New("AMQP_TLS_* belongs to an address that begins with amqps://"))
	}
	if _, err := c.tls().Build(); err != nil {
		faults = append(faults, fmt.Errorf("AMQP_TLS_*: %w", err))
	}
	if c.Heartbeat < time.Second {
		faults = append(faults, fmt.Errorf("AMQP_HEARTBEAT is %s; it is at least 1s", c.Heartbeat))
	}
	for _, t := range []struct {
		name  string
		value time.Duration
	}{
		{"AMQP_CONNECT_TIMEOUT", c.ConnectTimeout},
		{"AMQP_CONFIRM_TIMEOUT", c.ConfirmTimeout},
		{"AMQP_RECONNECT_MAX", c.ReconnectMax},
	} {
		if t.value <= 0 {
			faults = append(faults, fmt.Errorf("%s is %s; it is more than 0", t.name, t.value))
		}
	}
	return errors.Join(faults...)
}
