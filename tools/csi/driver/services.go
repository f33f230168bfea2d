package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// services are what a process serves. Missing ones are not registered.
type services struct {
	identity   identityService
	controller *controllerService
	node       *nodeService
}

func serve(network, address string, served services) error {
	if network == "unix" { // both drivers remove the socket that a previous process left behind
		if err := os.Remove(address); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("Failed to remove %s: %w", address, err) //nolint:stylecheck // the drivers' words
		}
	}

	listener, err := (&net.ListenConfig{}).Listen(context.Background(), network, address)
	if err != nil {
		return fmt.Errorf("Failed to listen: %w", err) //nolint:stylecheck // the drivers' words
	}

	server := grpc.NewServer(grpc.UnaryInterceptor(logged))

	if served.identity.name != "" {
		csi.RegisterIdentityServer(server, served.identity)
	}

	if served.controller != nil {
		csi.RegisterControllerServer(server, served.controller)
	}

	if served.node != nil {
		csi.RegisterNodeServer(server, served.node)
	}

	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)

	go func() {
		<-ended
		server.Stop()
	}()

	fmt.Println("listening on", address)

	return server.Serve(listener)
}

func logged(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	answer, err := next(ctx, request)
	if err != nil {
		fmt.Println(info.FullMethod, err)
	} else {
		fmt.Println(info.FullMethod)
	}

	return answer, err
}

type identityService struct {
	csi.UnimplementedIdentityServer

	name string
}

func (i identityService) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: i.name, VendorVersion: version}, nil
}

func (i identityService) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

func (i identityService) GetPluginCapabilities(
	context.Context, *csi.GetPluginCapabilitiesRequest,
) (*csi.GetPluginCapabilitiesResponse, error) {
	service := &csi.PluginCapability_Service{Type: csi.PluginCapability_Service_CONTROLLER_SERVICE}

	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{
		{Type: &csi.PluginCapability_Service_{Service: service}},
	}}, nil
}

func isNotFound(err error) bool { return errors.Is(err, errNotFound) }
func isExists(err error) bool   { return errors.Is(err, errExists) }

// answered converts an array error to the code that the CSI specification has for it.
func answered(err error) error {
	switch {
	case err == nil:
		return nil
	case isNotFound(err):
		return status.Error(codes.NotFound, err.Error())
	case isExists(err):
		return status.Error(codes.AlreadyExists, err.Error())
	case errors.Is(err, errBusy):
		return status.Error(codes.FailedPrecondition, err.Error())
	}

	return status.Error(codes.Internal, err.Error())
}

// required returns an error that names a missing value.
func required(values map[string]string) error {
	for name, value := range values {
		if value == "" {
			return status.Errorf(codes.InvalidArgument, "%s is missing", name)
		}
	}

	return nil
}
