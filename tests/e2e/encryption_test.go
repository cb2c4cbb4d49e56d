package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/auth"
	"holdfast/internal/payloadcodec"
	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

const (
	payloadKeys     = "TEMPORAL_PAYLOAD_KEYS"
	encryptionGuide = "docs/guides/payload-encryption.md"
)

// encrypted is a platform whose keys for payloads change while it runs.
type encrypted struct {
	*platform.Platform
	product uuid.UUID
}

// use restarts the processes that write into Temporal, with the given keys.
func (p encrypted) use(keys ...string) {
	p.T.Helper()
	p.Configure(payloadKeys, strings.Join(keys, ","))
	for _, name := range []string{"worker", "api"} {
		p.Process(name).Stop()
		p.Start(name)
	}
}

func (p encrypted) place(more ...any) string {
	p.T.Helper()
	return p.Place("alice", http.StatusCreated, platform.OneLine(p.product, 1, more...)).Str("order_id")
}

func (p encrypted) pay(id string) {
	p.T.Helper()
	paid := p.Pay("alice", id, "pm_ok")
	require.Equal(p.T, http.StatusOK, paid.Status, paid.Raw)
}

// written is everything that Temporal stores of an order, its history and its entry in the list with its details: all
// of it as bytes, and its payloads that are not encrypted. Search attributes never are, and are in the bytes alone.
func (p encrypted) written(id string) (stored string, plain []string) {
	p.T.Helper()
	workflow := orderflow.OrderWorkflowID(uuid.MustParse(id))
	var all strings.Builder
	add := func(message proto.Message) {
		raw, err := proto.Marshal(message)
		require.NoError(p.T, err)
		all.Write(raw)
		require.NoError(p.T, proxy.VisitPayloads(p.T.Context(), message, proxy.VisitPayloadsOptions{
			SkipSearchAttributes: true,
			Visitor: func(_ *proxy.VisitPayloadsContext, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
				for _, payload := range payloads {
					if string(payload.GetMetadata()[converter.MetadataEncoding]) != "binary/encrypted" {
						plain = append(plain, string(payload.GetData()))
					}
				}
				return payloads, nil
			},
		}))
	}
	p.WithTemporal(func(c client.Client) {
		events := c.GetWorkflowHistory(p.T.Context(), workflow, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			event, err := events.Next()
			require.NoError(p.T, err)
			add(event)
		}
		described, err := c.DescribeWorkflowExecution(p.T.Context(), workflow, "")
		require.NoError(p.T, err)
		add(described)
	})
	return all.String(), plain
}

// TestPayloadsAreEncrypted follows the steps of the guide on a running platform: orders go on over each change of the
// keys, and what Temporal stores of an order that was placed under a key is not readable.
func TestPayloadsAreEncrypted(t *testing.T) {
	t.Parallel()
	p := encrypted{Platform: platform.Start(t)}
	p.product = p.Product(100)
	first, second := payloadcodec.NewKey(), payloadcodec.NewKey()

	before := p.place()
	p.use(payloadcodec.Plain, first)
	early := p.place()
	p.use(first)
	p.pay(before)
	p.pay(early)

	personal := map[string]string{
		"name": "Ada Canary", "line1": "Gardenia Lane 7", "city": "Finchwick", "postal_code": "FW1 2CD", "country": "GB",
	}
	id := p.place("ship_to", personal, "email", "ada.canary@example.com",
		"metadata", map[string]string{"gift": "for Robin"})
	declined := p.Pay("alice", id, "pm_declined")
	require.Equal(t, http.StatusPaymentRequired, declined.Status, declined.Raw)

	p.use(first, second)
	p.use(second, first)
	p.pay(id)
	p.Await("alice", id, "confirmed", 30*time.Second)
	stored, plain := p.written(id)
	require.NotContains(t, strings.Join(plain, "\n"), "{", "only the ids in headers are not encrypted")
	for _, secret := range []string{ // each long enough that encrypted bytes do not hold it by chance
		"Ada Canary", "Gardenia", "Finchwick", "FW1 2CD", "ada.canary", "Robin", // what the customer sent
		"pm_ok", "pm_declined", "card_declined", // the payment
		"unit_price", "alice,", // what the workflow works with, and its summary
	} {
		at := strings.Index(stored, secret)
		require.Negative(t, at, "%q is readable: %q", secret, stored[max(at-100, 0):max(at+100, 0)])
	}
	_, plain = p.written(before)
	require.Contains(t, strings.Join(plain, "\n"), "unit_price", "the test looks in the right place")

	workflow := orderflow.OrderWorkflowID(uuid.MustParse(id))
	out, errs, err := p.Run([]string{"replay", "--workflow-id", workflow})
	require.NoError(t, err, out+errs)
	out, errs, err = p.Run([]string{"replay", "--workflow-id", workflow}, payloadKeys, "")
	require.Error(t, err, out+errs)
	require.Contains(t, out, "not read  "+workflow)

	p.use(second) // the first key goes: what it encrypted can no longer be read, the rest goes on
	p.pay(p.place())
}

// TestWorkerWithoutTheKeyFailsNoOrder: a worker that lacks a key leaves the order as it is, and a worker that has the
// key continues it.
func TestWorkerWithoutTheKeyFailsNoOrder(t *testing.T) {
	t.Parallel()
	p := encrypted{Platform: platform.Start(t)}
	p.product = p.Product(100)
	key := payloadcodec.NewKey()
	p.use(key)
	id := p.place()

	p.Process("worker").Stop()
	p.Configure(payloadKeys, payloadcodec.NewKey())
	worker := p.Start("worker")
	answered := make(chan platform.Answer, 1)
	go func() { answered <- p.Pay("alice", id, "pm_ok") }()
	require.Eventually(t, func() bool { return strings.Contains(worker.Log(), "add that key to the end") },
		30*time.Second, 50*time.Millisecond, "the worker's log says what to do")

	worker.Stop()
	p.Configure(payloadKeys, key)
	p.Start("worker")
	require.NotEqual(t, http.StatusInternalServerError, (<-answered).Status)
	p.Pay("alice", id, "pm_ok") // in case the first one had no outcome
	p.Await("alice", id, "confirmed", 30*time.Second)
}

// TestCodecServer: operators read payloads through it, with a token or signed in on its page, and others do not.
func TestCodecServer(t *testing.T) {
	t.Parallel()
	p := encrypted{Platform: platform.Start(t)}
	p.product = p.Product(100)
	p.use(payloadcodec.NewKey())
	id := p.place("email", "ada.canary@example.com")
	const ui = "https://temporal.shop.example"
	p.Configure("CODEC_ORIGINS", ui)
	server := p.For(t)
	server.Gateway = "http://" + p.Start("codec").Address()

	var input *commonpb.Payloads
	p.WithTemporal(func(c client.Client) {
		event, err := c.GetWorkflowHistory(t.Context(), orderflow.OrderWorkflowID(uuid.MustParse(id)), "", false,
			enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT).Next()
		require.NoError(t, err)
		input = event.GetWorkflowExecutionStartedEventAttributes().GetInput()
	})
	foreign, err := payloadcodec.New([]string{payloadcodec.NewKey()})
	require.NoError(t, err)
	lost, err := foreign.Encode(input.GetPayloads()[:1])
	require.NoError(t, err)
	input.Payloads = append(input.Payloads, lost...)
	raw, err := protojson.Marshal(input)
	require.NoError(t, err)

	token := func(role auth.Role) string { return "Bearer " + p.Token("olga", role) }
	decode := func(headers ...string) platform.Answer {
		return server.Do("", http.MethodPost, "/decode", string(raw), headers...)
	}
	require.Equal(t, http.StatusUnauthorized, decode().Status)
	require.Equal(t, http.StatusForbidden, decode("Authorization", token(auth.Customer)).Status)
	require.Equal(t, http.StatusForbidden, decode("Authorization", token(auth.Shop)).Status)
	a := decode("Authorization", token(auth.Operator), "Origin", ui)
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	require.Equal(t, ui, a.Header.Get("Access-Control-Allow-Origin"))
	var shown commonpb.Payloads
	require.NoError(t, protojson.Unmarshal([]byte(a.Raw), &shown))
	require.Contains(t, string(shown.Payloads[0].Data), "ada.canary@example.com")
	require.True(t, proto.Equal(lost[0], shown.Payloads[len(shown.Payloads)-1]), "what cannot be read stays as it is")
	require.Eventually(t, func() bool { return strings.Contains(p.Process("codec").Log(), `"subject":"olga"`) },
		10*time.Second, 10*time.Millisecond, "the server logs who reads")

	file := filepath.Join(t.TempDir(), "payloads.json")
	require.NoError(t, os.WriteFile(file, raw, 0o600))
	said := paste(t, p.Platform, only(t, encryptionGuide, "/decode"),
		map[string]string{"http://127.0.0.1:9093": server.Gateway, "payloads.json": file})
	var pasted commonpb.Payloads
	require.NoError(t, protojson.Unmarshal([]byte(said), &pasted), said)
	require.True(t, proto.Equal(&shown, &pasted), "the guide's request gets the same answer")

	a = decode("Authorization", token(auth.Operator), "Origin", "https://elsewhere.example")
	require.Empty(t, a.Header.Get("Access-Control-Allow-Origin"))
}
