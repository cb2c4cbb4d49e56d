package notification

import (
	"errors"
	"fmt"
	"net/mail"
	"time"

	"golang.org/x/text/language"
)

// The channels.
const (
	ChannelLog  = "log"
	ChannelSMTP = "smtp"
)

// Config says how customers are told, from the environment.
type Config struct {
	Channel string `env:"NOTIFY_CHANNEL" envDefault:"log"`
	// Language is the language of a message whose order names none that we have: en or de.
	Language string `env:"NOTIFY_LANGUAGE" envDefault:"en"`
	// Shop is the shop's name in the messages.
	Shop string `env:"NOTIFY_SHOP" envDefault:"Holdfast"`
	// Workers is how many messages are sent at once.
	Workers int `env:"NOTIFY_WORKERS" envDefault:"4"`
	// Poll is how often the dispatcher looks for messages while there are none.
	Poll time.Duration `env:"NOTIFY_POLL" envDefault:"1s"`
	// MaxAttempts is how often a message is tried that the server defers. Twelve attempts take six hours. An outage of
	// the server does not count.
	MaxAttempts int `env:"NOTIFY_MAX_ATTEMPTS" envDefault:"12"`

	SMTP SMTPConfig
}

// SMTPConfig is the mail server to which messages are handed over.
type SMTPConfig struct {
	Host     string `env:"SMTP_HOST"`
	Port     int    `env:"SMTP_PORT" envDefault:"587"`
	Username string `env:"SMTP_USERNAME"` // empty: no authentication
	Password string `env:"SMTP_PASSWORD"`
	// TLS is starttls (the connection must become encrypted), implicit (it is from the start), or none.
	TLS string `env:"SMTP_TLS" envDefault:"starttls"`
	// CAFile has the certificates of the authorities that may sign the server's; empty means those of the system.
	CAFile string `env:"SMTP_CA_FILE"`
	From   string `env:"SMTP_FROM"` // as in Shop <orders@shop.example>
	// Timeout limits each part of a session: to connect, to greet, to authenticate, and to send a message.
	Timeout time.Duration `env:"SMTP_TIMEOUT" envDefault:"10s"`
}

// The values of SMTPConfig.TLS.
const (
	tlsStart    = "starttls"
	tlsImplicit = "implicit"
	tlsNone     = "none"
)

// maxWorkers bounds Workers: each has a connection to the mail server.
const maxWorkers = 50

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	if c.Channel != ChannelLog && c.Channel != ChannelSMTP {
		faults = append(faults, fmt.Errorf("NOTIFY_CHANNEL is %q; it is log or smtp", c.Channel))
	}
	if tag, err := language.Parse(c.Language); err != nil || !hasLanguage(tag) {
		faults = append(faults, fmt.Errorf("NOTIFY_LANGUAGE is %q; it is en or de", c.Language))
	}
	if c.Shop == "" {
		faults = append(faults, errors.New("NOTIFY_SHOP is empty; it is the shop's name"))
	}
	if c.Workers < 1 || c.Workers > maxWorkers {
		faults = append(faults, fmt.Errorf("NOTIFY_WORKERS is %d; it lies between 1 and %d", c.Workers, maxWorkers))
	}
	if c.Poll < 10*time.Millisecond {
		faults = append(faults, fmt.Errorf("NOTIFY_POLL is %s; it is at least 10ms", c.Poll))
	}
	if c.MaxAttempts < 1 {
		faults = append(faults, fmt.Errorf("NOTIFY_MAX_ATTEMPTS is %d; it is at least 1", c.MaxAttempts))
	}
	if c.Channel == ChannelSMTP {
		faults = append(faults, c.SMTP.faults()...)
	}
	return errors.Join(faults...)
}

// faults are those of a server that is used.
func (c SMTPConfig) faults() []error {
	var faults []error
	if c.Host == "" {
		faults = append(faults, errors.New("SMTP_HOST is empty; NOTIFY_CHANNEL=smtp needs a mail server"))
	}
	if c.Port < 1 || c.Port > 65535 {
		faults = append(faults, fmt.Errorf("SMTP_PORT is %d; it lies between 1 and 65535", c.Port))
	}
	if c.TLS != tlsStart && c.TLS != tlsImplicit && c.TLS != tlsNone {
		faults = append(faults, fmt.Errorf("SMTP_TLS is %q; it is starttls, implicit or none", c.TLS))
	}
	if c.Username != "" && c.TLS == tlsNone {
		faults = append(faults,
			errors.New("SMTP_USERNAME is set and SMTP_TLS is none; a password needs an encrypted connection"))
	}
	if (c.Username == "") != (c.Password == "") {
		faults = append(faults, errors.New("SMTP_USERNAME and SMTP_PASSWORD belong together; set both or none"))
	}
	if _, err := mail.ParseAddress(c.From); err != nil {
		faults = append(faults, fmt.Errorf("SMTP_FROM is %q; it is an address as in Shop <orders@shop.example>", c.From))
	}
	if c.Timeout < time.Second || c.Timeout > maxTimeout {
		faults = append(faults, fmt.Errorf("SMTP_TIMEOUT is %s; it lies between 1s and %s", c.Timeout, maxTimeout))
	}
	return faults
}
