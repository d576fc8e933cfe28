// A client of generated code: `client HOST:PORT CONTAINER`.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	wharf "wharf/v1"
)

// The code of a call that failed, and its ErrorInfo.
type refusal struct {
	Code   uint32 `json:"code"`
	Domain string `json:"domain"`
	Reason string `json:"reason"`
}

func refusalOf(err error) *refusal {
	failed := status.Convert(err)
	found := errorInfo(failed.Proto())
	return &refusal{uint32(failed.Code()), found.GetDomain(), found.GetReason()}
}

// The one ErrorInfo in the details of a status; nil where there is none.
func errorInfo(of *spb.Status) *errdetails.ErrorInfo {
	for _, detail := range status.FromProto(of).Details() {
		if info, is := detail.(*errdetails.ErrorInfo); is {
			return info
		}
	}
	return nil
}

func main() {
	connection, err := grpc.Dial(os.Args[1], grpc.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	containers := wharf.NewContainerServiceClient(connection)
	everywhere := &wharf.HostSelector{Selection: &wharf.HostSelector_All{All: &wharf.AllHosts{}}}

	listed := []string{}
	list := func(request *wharf.ListContainersRequest) error {
		stream, err := containers.ListContainers(ctx, request)
		if err != nil {
			return err
		}
		for {
			event, err := stream.Recv()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			for _, container := range event.GetBatch().GetContainers() {
				listed = append(listed, fmt.Sprintf("%s/%s", event.Host, container.Name))
			}
		}
	}
	if err := list(&wharf.ListContainersRequest{Targets: everywhere}); err != nil {
		log.Fatal(err)
	}
	refused := refusalOf(list(&wharf.ListContainersRequest{}))

	request := &wharf.StartContainersRequest{Targets: everywhere, Containers: []string{os.Args[2]}}
	stream, err := containers.StartContainers(ctx, request)
	if err != nil {
		log.Fatal(err)
	}
	hosts := map[string]string{}
	var event *wharf.StartContainersResponse
	for event, err = stream.Recv(); err == nil; event, err = stream.Recv() {
		if outcome := event.GetOutcome(); outcome != nil {
			hosts[event.Host] = "OK"
			if info := errorInfo(outcome.GetStatus()); info != nil {
				hosts[event.Host] = info.Reason
			}
		}
	}
	answer := map[string]interface{}{
		"listed": listed, "refused": refused, "partial": refusalOf(err), "hosts": hosts,
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		log.Fatal(err)
	}
}
