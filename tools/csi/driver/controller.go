package main

import (
	"context"
	"sort"
	"sync"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	oneGiB   = 1 << 30
	smallest = 16 << 20 // open-e/joviandss-kubernetescsi pkg/controller/controllerplugin.go:61
)

type controllerService struct {
	csi.UnimplementedControllerServer

	array        array
	least        int64
	capabilities []csi.ControllerServiceCapability_RPC_Type
	mu           sync.Mutex
}

func (c *controllerService) ControllerGetCapabilities(
	context.Context, *csi.ControllerGetCapabilitiesRequest,
) (*csi.ControllerGetCapabilitiesResponse, error) {
	answer := &csi.ControllerGetCapabilitiesResponse{}

	for _, kind := range c.capabilities {
		rpc := &csi.ControllerServiceCapability_RPC{Type: kind}
		one := &csi.ControllerServiceCapability{Type: &csi.ControllerServiceCapability_Rpc{Rpc: rpc}}
		answer.Capabilities = append(answer.Capabilities, one)
	}

	return answer, nil
}

func (c *controllerService) CreateVolume(_ context.Context, request *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if request.GetName() == "" || len(request.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "name or volume capabilities are missing")
	}

	size, limit := request.GetCapacityRange().GetRequiredBytes(), request.GetCapacityRange().GetLimitBytes()
	if size == 0 {
		size = oneGiB
	}

	size = max(size, c.least, smallest)
	if limit > 0 && size > limit {
		return nil, status.Errorf(codes.OutOfRange, "the smallest volume has %d bytes", size)
	}

	c.mu.Lock()
	defer c.mu.Unlock()

	made, err := volumeWith(c.array, func(one volume) bool { return one.name == request.GetName() })

	switch {
	case err == nil && (made.bytes < size || limit > 0 && made.bytes > limit):
		return nil, status.Error(codes.AlreadyExists, "a volume of that name has another size")
	case isNotFound(err):
		made, err = c.make(request, size)
	}

	if err != nil {
		return nil, answered(err)
	}

	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId: made.id, CapacityBytes: max(made.bytes, size),
		VolumeContext: request.GetParameters(), ContentSource: request.GetVolumeContentSource(),
	}}, nil
}

func (c *controllerService) make(request *csi.CreateVolumeRequest, size int64) (volume, error) {
	source := request.GetVolumeContentSource()

	if id := source.GetVolume().GetVolumeId(); id != "" {
		from, err := volumeWith(c.array, func(one volume) bool { return one.id == id })
		if err != nil {
			return volume{}, err
		}

		return c.array.cloneVolume(request.GetName(), from)
	}

	if id := source.GetSnapshot().GetSnapshotId(); id != "" {
		from, err := snapshotWith(c.array, func(one snapshot) bool { return one.id == id })
		if err != nil {
			return volume{}, err
		}

		return c.array.restoreSnapshot(request.GetName(), from)
	}

	return c.array.createVolume(request.GetName(), size)
}

func (c *controllerService) DeleteVolume(_ context.Context, request *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if err := required(map[string]string{"volume_id": request.GetVolumeId()}); err != nil {
		return nil, err
	}

	if err := c.array.deleteVolume(request.GetVolumeId()); err != nil && !isNotFound(err) {
		return nil, answered(err)
	}

	return &csi.DeleteVolumeResponse{}, nil
}

func (c *controllerService) exists(id string) error {
	_, err := volumeWith(c.array, func(one volume) bool { return one.id == id })

	return answered(err)
}

func (c *controllerService) ControllerPublishVolume(
	_ context.Context, request *csi.ControllerPublishVolumeRequest,
) (*csi.ControllerPublishVolumeResponse, error) {
	array, can := c.array.(publisher)
	if !can {
		return nil, status.Error(codes.Unimplemented, "volumes are published when they are made")
	}

	if err := required(map[string]string{"volume_id": request.GetVolumeId(), "node_id": request.GetNodeId()}); err != nil {
		return nil, err
	}

	if request.GetVolumeCapability() == nil {
		return nil, status.Error(codes.InvalidArgument, "volume_capability is missing")
	}

	if err := c.exists(request.GetVolumeId()); err != nil {
		return nil, err
	}

	found, err := array.publish(request.GetVolumeId())

	return &csi.ControllerPublishVolumeResponse{PublishContext: found}, answered(err)
}

func (c *controllerService) ControllerUnpublishVolume(
	_ context.Context, request *csi.ControllerUnpublishVolumeRequest,
) (*csi.ControllerUnpublishVolumeResponse, error) {
	array, can := c.array.(publisher)
	if !can {
		return nil, status.Error(codes.Unimplemented, "volumes are published when they are made")
	}

	if err := required(map[string]string{"volume_id": request.GetVolumeId()}); err != nil {
		return nil, err
	}

	return &csi.ControllerUnpublishVolumeResponse{}, answered(array.unpublish(request.GetVolumeId()))
}

func (c *controllerService) ValidateVolumeCapabilities(
	_ context.Context, request *csi.ValidateVolumeCapabilitiesRequest,
) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if request.GetVolumeId() == "" || len(request.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "volume_id or volume_capabilities are missing")
	}

	if err := c.exists(request.GetVolumeId()); err != nil {
		return nil, err
	}

	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
		VolumeCapabilities: request.GetVolumeCapabilities(), VolumeContext: request.GetVolumeContext(),
	}}, nil
}

// page returns the part of a list that starts at a token, and the token of the rest.
func page[T any](all []T, id func(T) string, token string, most int32) ([]T, string, error) {
	sort.Slice(all, func(a, b int) bool { return id(all[a]) < id(all[b]) })

	from := 0
	if token != "" {
		for from = 0; from < len(all) && id(all[from]) != token; from++ {
		}

		if from == len(all) {
			return nil, "", status.Errorf(codes.Aborted, "%s is no token of this list", token)
		}
	}

	if rest := all[from:]; most > 0 && len(rest) > int(most) {
		return rest[:most], id(rest[most]), nil
	}

	return all[from:], "", nil
}

func (c *controllerService) ListVolumes(_ context.Context, request *csi.ListVolumesRequest) (*csi.ListVolumesResponse, error) {
	all, err := c.array.volumes()
	if err != nil {
		return nil, answered(err)
	}

	some, next, err := page(all, func(one volume) string { return one.id }, request.GetStartingToken(), request.GetMaxEntries())
	answer := &csi.ListVolumesResponse{NextToken: next}

	for _, one := range some {
		entry := &csi.Volume{VolumeId: one.id, CapacityBytes: one.bytes}
		answer.Entries = append(answer.Entries, &csi.ListVolumesResponse_Entry{Volume: entry})
	}

	return answer, err
}

func (c *controllerService) GetCapacity(context.Context, *csi.GetCapacityRequest) (*csi.GetCapacityResponse, error) {
	free, err := c.array.free()

	return &csi.GetCapacityResponse{AvailableCapacity: free}, answered(err)
}

func shown(one snapshot) *csi.Snapshot {
	return &csi.Snapshot{
		SnapshotId: one.id, SourceVolumeId: one.source, SizeBytes: one.bytes, CreationTime: timestamppb.New(one.taken), ReadyToUse: true,
	}
}

func (c *controllerService) CreateSnapshot(_ context.Context, request *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if err := required(map[string]string{"name": request.GetName(), "source_volume_id": request.GetSourceVolumeId()}); err != nil {
		return nil, err
	}

	c.mu.Lock()
	defer c.mu.Unlock()

	taken, err := snapshotWith(c.array, func(one snapshot) bool { return one.name == request.GetName() })

	switch {
	case err == nil && taken.source != request.GetSourceVolumeId():
		return nil, status.Error(codes.AlreadyExists, "a snapshot of that name has another source")
	case isNotFound(err):
		var source volume

		source, err = volumeWith(c.array, func(one volume) bool { return one.id == request.GetSourceVolumeId() })
		if err == nil {
			taken, err = c.array.createSnapshot(request.GetName(), source)
		}
	}

	if err != nil {
		return nil, answered(err)
	}

	return &csi.CreateSnapshotResponse{Snapshot: shown(taken)}, nil
}

func (c *controllerService) DeleteSnapshot(_ context.Context, request *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	if err := required(map[string]string{"snapshot_id": request.GetSnapshotId()}); err != nil {
		return nil, err
	}

	taken, err := snapshotWith(c.array, func(one snapshot) bool { return one.id == request.GetSnapshotId() })
	if err == nil {
		err = c.array.deleteSnapshot(taken)
	}

	if err != nil && !isNotFound(err) {
		return nil, answered(err)
	}

	return &csi.DeleteSnapshotResponse{}, nil
}

func (c *controllerService) ListSnapshots(_ context.Context, request *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	all, err := c.array.snapshots()
	if err != nil {
		return nil, answered(err)
	}

	var fitting []snapshot

	for _, one := range all {
		source, id := request.GetSourceVolumeId(), request.GetSnapshotId()
		if (source == "" || source == one.source) && (id == "" || id == one.id) {
			fitting = append(fitting, one)
		}
	}

	some, next, err := page(fitting, func(one snapshot) string { return one.id }, request.GetStartingToken(), request.GetMaxEntries())
	answer := &csi.ListSnapshotsResponse{NextToken: next}

	for _, one := range some {
		answer.Entries = append(answer.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: shown(one)})
	}

	return answer, err
}

func (c *controllerService) ControllerExpandVolume(
	_ context.Context, request *csi.ControllerExpandVolumeRequest,
) (*csi.ControllerExpandVolumeResponse, error) {
	size := request.GetCapacityRange().GetRequiredBytes()
	if request.GetVolumeId() == "" || size == 0 {
		return nil, status.Error(codes.InvalidArgument, "volume_id or capacity_range is missing")
	}

	if err := c.exists(request.GetVolumeId()); err != nil {
		return nil, err
	}

	err := c.array.growVolume(request.GetVolumeId(), size)

	return &csi.ControllerExpandVolumeResponse{CapacityBytes: size, NodeExpansionRequired: true}, answered(err)
}
