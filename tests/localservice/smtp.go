package localservice

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed" // the server's program
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// python is the distribution's own interpreter, which finds the distribution's packages. PATH may lead to another one.
const python = "/usr/bin/python3"

//go:embed smtp.py
var smtpProgram []byte

// SMTP is a private mail server: Debian's aiosmtpd, which delivers into a directory. It refuses recipients whose name
// begins with "unknown" for good, and with "busy" for now. With "slow" it answers after a minute.
type SMTP struct {
	*instance
	port    int
	maildir string
}

// SMTPOptions say what the mail server asks of its clients.
type SMTPOptions struct {
	TLS                bool   // it requires STARTTLS, with a certificate for localhost that CAFile verifies
	Username, Password string // it requires this login, if it is given
}

// StartSMTP starts a mail server in o.Dir and returns once it answers. ctx bounds the start, not the life of the
// server.
func StartSMTP(ctx context.Context, o Options, s SMTPOptions) (*SMTP, error) {
	o, err := o.checked()
	if err != nil {
		return nil, err
	}
	owner, err := identityFor("nobody")
	if err != nil {
		return nil, err
	}
	i, err := prepare(ctx, "SMTP", o, owner, processKind{"python3", syscall.SIGTERM})
	if err != nil {
		return nil, err
	}
	m := &SMTP{instance: i, maildir: filepath.Join(i.dir, "mail")}
	if err := m.start(ctx, o, s); err != nil {
		return nil, i.abandon(err)
	}
	return m, nil
}

func (m *SMTP) start(ctx context.Context, o Options, s SMTPOptions) error {
	var err error
	if m.port, err = m.takePort(o.Port, m.title); err != nil {
		return err
	}
	script := filepath.Join(m.dir, "smtp.py")
	if err := os.WriteFile(script, smtpProgram, 0o644); err != nil {
		return fmt.Errorf("write the server's program: %w", err)
	}
	settings := map[string]any{
		"port": m.port, "maildir": m.maildir, "username": s.Username, "password": s.Password, "cert": "", "key": "",
	}
	if s.TLS {
		if err := m.writeCertificate(); err != nil {
			return err
		}
		settings["cert"], settings["key"] = m.CAFile(), m.keyFile()
	}
	argument, err := json.Marshal(settings)
	if err != nil {
		return fmt.Errorf("encode the server's settings: %w", err)
	}
	return m.run(ctx, program{
		name:  "python3",
		path:  python,
		dir:   m.dir,
		owner: m.owner,
		args:  []string{script, string(argument)},
		log:   filepath.Join(m.dir, "smtp.log"),
		stop:  syscall.SIGTERM,
	}, m.greets)
}

// greets succeeds once the server greets a client.
func (m *SMTP) greets(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(m.Host(), strconv.Itoa(m.port)))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	greeting, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.HasPrefix(greeting, "220 ") {
		err = fmt.Errorf("it answers %q", greeting)
	}
	return err
}

// writeCertificate makes the server's certificate, which signs itself.
func (m *SMTP) writeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "localhost"},
		DNSNames:              []string{"localhost"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode a key: %w", err)
	}
	for file, block := range map[string]*pem.Block{
		m.CAFile():  {Type: "CERTIFICATE", Bytes: certificate},
		m.keyFile(): {Type: "PRIVATE KEY", Bytes: private},
	} {
		// The server runs as another user, and the key guards nothing but a test.
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o644); err != nil {
			return fmt.Errorf("write the certificate: %w", err)
		}
	}
	return nil
}

// Host is the name under which the server's certificate is valid.
func (m *SMTP) Host() string { return "localhost" }

// Port is the server's port.
func (m *SMTP) Port() int { return m.port }

// CAFile is the file with the certificate that verifies the server's.
func (m *SMTP) CAFile() string { return filepath.Join(m.dir, "cert.pem") }

func (m *SMTP) keyFile() string { return filepath.Join(m.dir, "key.pem") }

// Messages returns the messages that the server has accepted, in no particular order.
func (m *SMTP) Messages() ([]*mail.Message, error) {
	names, err := filepath.Glob(filepath.Join(m.maildir, "new", "*"))
	if err != nil {
		return nil, fmt.Errorf("list the mails: %w", err)
	}
	out := make([]*mail.Message, 0, len(names))
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read a mail: %w", err)
		}
		message, err := mail.ReadMessage(strings.NewReader(string(raw)))
		if err != nil {
			return nil, fmt.Errorf("parse a mail: %w", err)
		}
		out = append(out, message)
	}
	return out, nil
}
