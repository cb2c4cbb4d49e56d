package notification_test

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/notification"
	"holdfast/tests/localservice"
	"holdfast/tests/testenv"
)

func message(to string) notification.Message {
	return notification.Message{
		NotificationID: uuid.New(),
		OrderID:        uuid.New(),
		Kind:           notification.Confirmed,
		Language:       "de",
		Date:           time.Now(),
		To:             to,
		Subject:        "Ihre Bestellung ist bestätigt",
		Text:           "Vielen Dank für Ihre Bestellung.",
		HTML:           "<p>Vielen Dank für Ihre Bestellung.</p>",
	}
}

// TestMailArrives: over STARTTLS and with a login, the server accepts a mail with text and HTML. Attempts to send one
// message have one Message-ID, and a message that an operator asks for again has another.
func TestMailArrives(t *testing.T) {
	t.Parallel()
	server := testenv.MailServer(t, 0, secured)
	sender, m := newSender(t, serverConfig(server)), message("zoe@example.org")
	require.NoError(t, sender.Send(t.Context(), m))
	require.NoError(t, sender.Send(t.Context(), m), "the mark of the first attempt was lost")
	again := m
	again.Serial = 1
	require.NoError(t, sender.Send(t.Context(), again))

	mails := messagesTo(t, server, "zoe@example.org")
	require.Len(t, mails, 3)
	ids := map[string]int{}
	for _, got := range mails {
		ids[got.Header.Get("Message-ID")]++
	}
	require.Equal(t, map[string]int{
		"<" + m.NotificationID.String() + ".0@tea.example>": 2,
		"<" + m.NotificationID.String() + ".1@tea.example>": 1,
	}, ids)

	header := mails[0].Header
	subject, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject"))
	require.NoError(t, err)
	require.Equal(t, m.Subject, subject)
	require.Equal(t, `"Tea & Co" <orders@tea.example>`, header.Get("From"))
	require.Equal(t, []string{"de", "auto-generated"},
		[]string{header.Get("Content-Language"), header.Get("Auto-Submitted")})
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", kind)
	parts, texts := multipart.NewReader(mails[0].Body, params["boundary"]), []string{}
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.Equal(t, "quoted-printable", part.Header.Get("Content-Transfer-Encoding"))
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		require.NoError(t, err)
		texts = append(texts, string(text))
	}
	require.Equal(t, []string{m.Text, m.HTML}, texts)
}

// TestServerRefuses: the outcome of each refusal, in words without the customer's address.
func TestServerRefuses(t *testing.T) {
	t.Parallel()
	server := testenv.MailServer(t, 0, secured)
	plain := testenv.MailServer(t, 0, localservice.SMTPOptions{})
	for _, c := range []struct {
		name, to string
		change   func(*notification.SMTPConfig)
		want     error
		words    string
	}{
		{"no such mailbox", "unknown.zoe@example.org", nil, notification.ErrRefused, "550 5.1.1"},
		{"the mailbox is busy", "busy.zoe@example.org", nil, notification.ErrDeferred, "451 4.2.1"},
		{"no address", "zoe", nil, notification.ErrRefused, "is not one"},
		{"a header in the address", "zoe@example.org\r\nBcc: eve@example.org", nil, notification.ErrRefused, "is not one"},
		{
			"the password is wrong", "zoe@example.org",
			func(c *notification.SMTPConfig) { c.Password = "another" },
			notification.ErrUnavailable, "535",
		},
		{
			"the certificate is not trusted", "zoe@example.org",
			func(c *notification.SMTPConfig) { c.CAFile = "" },
			notification.ErrUnavailable, "certificate",
		},
		{
			"the server offers no STARTTLS", "zoe@example.org",
			func(c *notification.SMTPConfig) { c.Port = plain.Port() },
			notification.ErrUnavailable, "STARTTLS",
		},
		{
			"nothing listens", "zoe@example.org",
			func(c *notification.SMTPConfig) { c.Port = 1 },
			notification.ErrUnavailable, "refused",
		},
		{
			"the server hangs", "slow.zoe@example.org",
			func(c *notification.SMTPConfig) { c.Timeout = time.Second },
			notification.ErrUnavailable, "broke",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := serverConfig(server)
			if c.change != nil {
				c.change(&cfg)
			}
			err := newSender(t, cfg).Send(t.Context(), message(c.to))
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.words)
			require.NotContains(t, err.Error(), "zoe@")
			require.NotContains(t, err.Error(), password)
		})
	}
	require.Empty(t, messagesTo(t, server, "zoe"))
}

// TestPlainConnection: a server without TLS takes mail only if the configuration says so.
func TestPlainConnection(t *testing.T) {
	t.Parallel()
	server := testenv.MailServer(t, 0, localservice.SMTPOptions{})
	cfg := notification.SMTPConfig{
		Host: server.Host(), Port: server.Port(), TLS: "none", From: "orders@tea.example", Timeout: 5 * time.Second,
	}
	require.NoError(t, newSender(t, cfg).Send(t.Context(), message("zoe@example.org")))
	require.Len(t, messagesTo(t, server, "zoe@example.org"), 1)
}
