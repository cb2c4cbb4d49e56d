package notification

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/mail"
	"net/textproto"
	"os"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// maxTimeout bounds SMTPConfig.Timeout. The library renews the limit at each of the four parts of a session; the lease
// of a notification is longer than all of them, so that no other dispatcher sends a message while one is still at it.
const maxTimeout = time.Minute

// SMTPSender hands messages over to a mail server.
type SMTPSender struct {
	cfg    SMTPConfig
	from   mail.Address
	domain string // of the sender's address; it is in the Message-IDs
	client *gomail.Client
}

// NewSMTPSender returns a sender for a server. It does not connect.
func NewSMTPSender(cfg SMTPConfig) (*SMTPSender, error) {
	from, err := mail.ParseAddress(cfg.From)
	if err != nil {
		return nil, fmt.Errorf("parse SMTP_FROM: %w", err)
	}
	options := []gomail.Option{gomail.WithPort(cfg.Port), gomail.WithTimeout(cfg.Timeout)}
	switch cfg.TLS {
	case tlsImplicit:
		options = append(options, gomail.WithSSL())
	case tlsNone:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default: // the library's TLSMandatory never falls back to plain text
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if cfg.CAFile != "" {
		roots, err := readCAs(cfg.CAFile)
		if err != nil {
			return nil, err
		}
		options = append(options, gomail.WithTLSConfig(&tls.Config{
			ServerName: cfg.Host, RootCAs: roots, MinVersion: tls.VersionTLS12,
		}))
	}
	if cfg.Username != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(cfg.Username), gomail.WithPassword(cfg.Password))
	}
	client, err := gomail.NewClient(cfg.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("set up the mail server: %w", err)
	}
	domain := from.Address[strings.LastIndexByte(from.Address, '@')+1:]
	return &SMTPSender{cfg: cfg, from: *from, domain: domain, client: client}, nil
}

func readCAs(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read SMTP_CA_FILE: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("SMTP_CA_FILE: %s has no certificate in PEM", file)
	}
	return roots, nil
}

// Channel implements Sender.
func (s *SMTPSender) Channel() string { return ChannelSMTP }

// Send hands a message over to the server. If the connection breaks after the server has taken the message and before
// its answer has arrived, the error says that the server is unavailable, and the next attempt sends the message a
// second time, with the same Message-ID.
func (s *SMTPSender) Send(ctx context.Context, m Message) error {
	msg, err := s.compose(m)
	if err != nil {
		return err
	}
	err = s.client.DialAndSendWithContext(ctx, msg)
	if err == nil || msg.IsDelivered() { // the server has taken it, whatever the end of the session was
		return nil
	}
	return classify(err)
}

func (s *SMTPSender) compose(m Message) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&s.from)
	if err := msg.To(m.To); err != nil { // the cause would repeat the address
		return nil, fmt.Errorf("%w: the order's email address is not one", ErrRefused)
	}
	msg.SetMessageIDWithValue(s.messageID(m))
	msg.SetDateWithValue(m.Date)
	msg.Subject(m.Subject)
	msg.SetGenHeader(gomail.HeaderContentLang, m.Language)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // no vacation notice comes back (RFC 3834)
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return msg, nil
}

// messageID is the same for each attempt to send a message.
func (s *SMTPSender) messageID(m Message) string {
	return fmt.Sprintf("%s.%d@%s", m.NotificationID, m.Serial, s.domain)
}

// classify says what an error of the library means. It keeps the server's code and the step, and not the server's text,
// which repeats the address.
func classify(err error) error {
	var sent *gomail.SendError
	if !errors.As(err, &sent) {
		return fmt.Errorf("%w: %s", ErrUnavailable, withoutText(err))
	}
	answer := "the connection broke"
	if code := sent.ErrorCode(); code != 0 {
		answer = strings.TrimSpace(fmt.Sprintf("the server answered %d %s", code, sent.EnhancedStatusCode()))
	}
	return fmt.Errorf("%w: %s: %s", outcomeOf(sent), sent.Reason, answer)
}

func outcomeOf(sent *gomail.SendError) error {
	code := sent.ErrorCode()
	switch sent.Reason {
	case gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose, gomail.ErrWriteContent:
		switch {
		case code == 421: // the server goes down (RFC 5321, 3.8)
			return ErrUnavailable
		case code >= 500:
			return ErrRefused
		case code == 0 && sent.Reason == gomail.ErrSMTPRcptTo:
			return ErrUnavailable
		default: // also of a connection that breaks at the message's content: the content may be why
			return ErrDeferred
		}
	case gomail.ErrGetSender, gomail.ErrGetRcpts, gomail.ErrNoUnencoded:
		return ErrDeferred
	default: // a refusal of our own address, for example, says nothing about the message
		return ErrUnavailable
	}
}

// withoutText describes an error that came before the message itself: of the connection, of TLS or of authentication.
// A server's answer is reduced to its code.
func withoutText(err error) string {
	var answer *textproto.Error
	if errors.As(err, &answer) {
		return fmt.Sprintf("it answered %d before a message was sent", answer.Code)
	}
	return err.Error()
}
