package payloadcodec

import (
	"context"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"
)

// DataConverter returns the converter for the clients, workers and replayers of a process.
func DataConverter(c *Codec) converter.DataConverter {
	return dataConverter{converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), c)}
}

// FailureConverter returns the converter of failures. With a key it also encrypts their messages and stack traces,
// because an error's text quotes what it is about.
func FailureConverter(c *Codec) converter.FailureConverter {
	return failureConverter{temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
		DataConverter:          DataConverter(c),
		EncodeCommonAttributes: c.current != "",
	})}
}

// failureConverter leaves the failure that it reads as it is. The SDK's converter writes the decrypted text into it
// (v1.50.0), and a worker reads the failure of a local activity before it sends that failure to Temporal.
type failureConverter struct{ converter.FailureConverter }

func (f failureConverter) FailureToError(failure *failurepb.Failure) error {
	return f.FailureConverter.FailureToError(proto.CloneOf(failure))
}

// dataConverter encrypts. Inside a workflow it panics if a payload cannot be decrypted.
//
// The SDK turns an error of the converter into an error of the workflow's input, of an update or of an activity's
// result: a worker that lacks a key would fail its orders. A panic fails only the workflow task. Temporal repeats the
// task until a worker with the key takes it, and the order goes on as if nothing had happened.
type dataConverter struct{ converter.DataConverter }

// WithWorkflowContext implements workflow.ContextAware.
func (d dataConverter) WithWorkflowContext(workflow.Context) converter.DataConverter {
	return inWorkflow(d)
}

// WithContext implements workflow.ContextAware.
func (d dataConverter) WithContext(context.Context) converter.DataConverter { return d }

type inWorkflow struct{ converter.DataConverter }

func (d inWorkflow) FromPayload(payload *commonpb.Payload, to any) error {
	return panicIfUnreadable(d.DataConverter.FromPayload(payload, to))
}

func (d inWorkflow) FromPayloads(payloads *commonpb.Payloads, to ...any) error {
	return panicIfUnreadable(d.DataConverter.FromPayloads(payloads, to...))
}

func panicIfUnreadable(err error) error {
	if isUnreadable(err) {
		panic(err)
	}
	return err
}
