package payloadcodec_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/payloadcodec"
)

const secret = "Gardenia Lane 7"

func newCodec(t *testing.T, keys ...string) *payloadcodec.Codec {
	t.Helper()
	c, err := payloadcodec.New(keys)
	require.NoError(t, err)
	return c
}

func plaintext() *commonpb.Payload {
	return &commonpb.Payload{
		Metadata: map[string][]byte{"encoding": []byte("json/plain")},
		Data:     []byte(`"` + secret + `"`),
	}
}

func encrypt(t *testing.T, c *payloadcodec.Codec) *commonpb.Payload {
	t.Helper()
	out, err := c.Encode([]*commonpb.Payload{plaintext()})
	require.NoError(t, err)
	return out[0]
}

func requirePlain(t *testing.T, c *payloadcodec.Codec, p *commonpb.Payload) {
	t.Helper()
	out, err := c.Decode([]*commonpb.Payload{p})
	require.NoError(t, err)
	require.True(t, proto.Equal(plaintext(), out[0]), "%v", out[0])
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	c := newCodec(t, payloadcodec.NewKey())
	one, two := encrypt(t, c), encrypt(t, c)
	requirePlain(t, c, one)
	require.NotContains(t, string(one.Data), secret)
	require.NotContains(t, string(one.Data), "json/plain", "the metadata is encrypted too")
	require.NotEqual(t, one.Data, two.Data, "equal payloads look different")
	requirePlain(t, c, plaintext()) // from before the encryption
}

// TestRotation follows the guide: a key arrives at the end of the list, moves to the front, and the old one goes.
func TestRotation(t *testing.T) {
	t.Parallel()
	first, second := payloadcodec.NewKey(), payloadcodec.NewKey()
	steps := []*payloadcodec.Codec{
		newCodec(t, payloadcodec.Plain, first),
		newCodec(t, first),
		newCodec(t, first, second),
		newCodec(t, second, first),
		newCodec(t, second),
	}
	for i := range steps[1:] {
		requirePlain(t, steps[i], encrypt(t, steps[i+1])) // processes of two neighbouring steps read each other
		requirePlain(t, steps[i+1], encrypt(t, steps[i]))
	}

	_, err := steps[4].Decode([]*commonpb.Payload{encrypt(t, steps[1])})
	var unreadable *payloadcodec.UnreadableError
	require.ErrorAs(t, err, &unreadable)
	require.ErrorContains(t, err, "TEMPORAL_PAYLOAD_KEYS")
	require.ErrorContains(t, err, unreadable.KeyID)
}

func TestChangedPayloadsAreRefused(t *testing.T) {
	t.Parallel()
	key, other := payloadcodec.NewKey(), payloadcodec.NewKey()
	c := newCodec(t, key, other)
	for name, change := range map[string]func(*commonpb.Payload){
		"a bit":          func(p *commonpb.Payload) { p.Data[len(p.Data)-1] ^= 1 },
		"the salt":       func(p *commonpb.Payload) { p.Data[0] ^= 1 },
		"cut off":        func(p *commonpb.Payload) { p.Data = p.Data[:10] },
		"without a tag":  func(p *commonpb.Payload) { p.Data = p.Data[:24] },
		"another key":    func(p *commonpb.Payload) { p.Metadata = encrypt(t, newCodec(t, other)).Metadata },
		"no key":         func(p *commonpb.Payload) { delete(p.Metadata, "encryption-key-id") },
		"nothing in it":  func(p *commonpb.Payload) { p.Data = nil },
		"an unknown key": func(p *commonpb.Payload) { p.Metadata["encryption-key-id"] = []byte("00000000") },
	} {
		p := encrypt(t, c)
		change(p)
		_, err := c.Decode([]*commonpb.Payload{p})
		var unreadable *payloadcodec.UnreadableError
		require.ErrorAs(t, err, &unreadable, name)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	key := payloadcodec.NewKey()
	for fault, list := range map[string][]string{
		"alone":        {payloadcodec.Plain},
		"twice":        {key, key},
		"not 32 bytes": {"c2hvcnQ="},
		"in base64":    {"not base64!"},
		"key 2 of the": {key, payloadcodec.Plain},
		"payload-key":  {""},
	} {
		_, err := payloadcodec.New(list)
		require.ErrorContains(t, err, fault)
		require.NotContains(t, err.Error(), key, "an error never shows a key")
	}
	none := newCodec(t)
	requirePlain(t, none, encrypt(t, none))
	_, err := none.Decode([]*commonpb.Payload{encrypt(t, newCodec(t, key))})
	var unreadable *payloadcodec.UnreadableError
	require.ErrorAs(t, err, &unreadable, "a process without keys knows what it cannot read")
}

// TestFailures holds that the text of an error is encrypted, and that its type, on which workflows decide, is not.
func TestFailures(t *testing.T) {
	t.Parallel()
	c := newCodec(t, payloadcodec.NewKey())
	converter := payloadcodec.FailureConverter(c)
	failure := converter.ErrorToFailure(temporal.NewNonRetryableApplicationError(
		"no such address: "+secret, "bad_address", errors.New("the cause names "+secret), secret))
	raw, err := proto.Marshal(failure)
	require.NoError(t, err)
	require.NotContains(t, string(raw), secret)
	require.Contains(t, string(raw), "bad_address")

	var back *temporal.ApplicationError
	require.ErrorAs(t, converter.FailureToError(failure), &back)
	require.NotContains(t, failure.String(), secret, "a failure that is read stays encrypted")
	require.ErrorContains(t, back, secret)
	var detail string
	require.NoError(t, back.Details(&detail))
	require.Equal(t, secret, detail)
}

func BenchmarkRoundTrip(b *testing.B) {
	c, err := payloadcodec.New([]string{payloadcodec.NewKey()})
	require.NoError(b, err)
	p := plaintext()
	p.Data = make([]byte, 1024)
	b.ReportAllocs()
	for b.Loop() {
		out, err := c.Encode([]*commonpb.Payload{p})
		require.NoError(b, err)
		_, err = c.Decode(out)
		require.NoError(b, err)
	}
}
