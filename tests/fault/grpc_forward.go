package fault

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
)

// outcome is what the server answered.
type outcome struct {
	header, trailer metadata.MD
	response        []byte
	err             error
}

// forward makes the call. It has the caller's deadline, which Temporal reads to see how long a poll may wait;
// only ctx can end it otherwise.
func (p *GRPC) forward(ctx context.Context, stream grpc.ServerStream, method string, request []byte) outcome {
	if deadline, ok := stream.Context().Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	incoming, _ := metadata.FromIncomingContext(stream.Context())
	incoming = incoming.Copy()
	incoming.Delete("grpc-accept-encoding") // belongs to this hop; the proxy's client adds its own
	ctx = metadata.NewOutgoingContext(ctx, incoming)
	var o outcome
	o.err = p.upstream.Invoke(ctx, method, &request, &o.response, grpc.Header(&o.header), grpc.Trailer(&o.trailer))
	return o
}

func (o outcome) pass(stream grpc.ServerStream) error {
	stream.SetTrailer(o.trailer)
	if err := stream.SetHeader(o.header); err != nil {
		return err
	}
	if o.err != nil {
		return o.err
	}
	return stream.SendMsg(&o.response)
}

// asItIs is a codec that does not change messages. It has the name of the codec that it replaces, because the
// name is part of the content type.
type asItIs struct{}

var errNotBytes = errors.New("fault: a message that is not bytes")

func (asItIs) Name() string { return "proto" }

func (asItIs) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("%w: %T", errNotBytes, v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

func (asItIs) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("%w: %T", errNotBytes, v)
	}
	*b = data.Materialize()
	return nil
}
