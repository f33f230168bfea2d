package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// staging is how the node plugin of one driver handles a volume.
type staging interface {
	stage(request *csi.NodeStageVolumeRequest) error
	unstage(id, path string) error
	publish(request *csi.NodePublishVolumeRequest) error
}

type nodeService struct {
	csi.UnimplementedNodeServer

	id           string
	volumes      staging
	capabilities []csi.NodeServiceCapability_RPC_Type
}

func (n *nodeService) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	answer := &csi.NodeGetCapabilitiesResponse{}

	for _, kind := range n.capabilities {
		rpc := &csi.NodeServiceCapability_RPC{Type: kind}
		answer.Capabilities = append(answer.Capabilities, &csi.NodeServiceCapability{Type: &csi.NodeServiceCapability_Rpc{Rpc: rpc}})
	}

	return answer, nil
}

func (n *nodeService) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: n.id}, nil
}

func (n *nodeService) NodeStageVolume(_ context.Context, request *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	if err := required(map[string]string{"volume_id": request.GetVolumeId(), "staging_target_path": request.GetStagingTargetPath()}); err != nil {
		return nil, err
	}

	if request.GetVolumeCapability() == nil {
		return nil, status.Error(codes.InvalidArgument, "volume_capability is missing")
	}

	return &csi.NodeStageVolumeResponse{}, answered(n.volumes.stage(request))
}

func (n *nodeService) NodeUnstageVolume(_ context.Context, request *csi.NodeUnstageVolumeRequest) (*csi.NodeUnstageVolumeResponse, error) {
	if err := required(map[string]string{"volume_id": request.GetVolumeId(), "staging_target_path": request.GetStagingTargetPath()}); err != nil {
		return nil, err
	}

	return &csi.NodeUnstageVolumeResponse{}, answered(n.volumes.unstage(request.GetVolumeId(), request.GetStagingTargetPath()))
}

func (n *nodeService) NodePublishVolume(_ context.Context, request *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	paths := map[string]string{
		"volume_id": request.GetVolumeId(), "target_path": request.GetTargetPath(), "staging_target_path": request.GetStagingTargetPath(),
	}
	if err := required(paths); err != nil {
		return nil, err
	}

	if request.GetVolumeCapability() == nil {
		return nil, status.Error(codes.InvalidArgument, "volume_capability is missing")
	}

	if err := os.MkdirAll(request.GetTargetPath(), 0o750); err != nil {
		return nil, answered(err)
	}

	return &csi.NodePublishVolumeResponse{}, answered(n.volumes.publish(request))
}

func (n *nodeService) NodeUnpublishVolume(_ context.Context, request *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	if err := required(map[string]string{"volume_id": request.GetVolumeId(), "target_path": request.GetTargetPath()}); err != nil {
		return nil, err
	}

	if err := unmount(request.GetTargetPath()); err != nil {
		return nil, answered(err)
	}

	if err := os.Remove(request.GetTargetPath()); err != nil && !os.IsNotExist(err) {
		return nil, answered(err)
	}

	return &csi.NodeUnpublishVolumeResponse{}, nil
}

func (n *nodeService) NodeGetVolumeStats(_ context.Context, request *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	if err := required(map[string]string{"volume_id": request.GetVolumeId(), "volume_path": request.GetVolumePath()}); err != nil {
		return nil, err
	}

	if _, err := mountedOn(request.GetVolumePath()); err != nil {
		return nil, answered(err)
	}

	var figures syscall.Statfs_t
	if err := syscall.Statfs(request.GetVolumePath(), &figures); err != nil {
		return nil, answered(err)
	}

	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{{
		Unit: csi.VolumeUsage_BYTES, Total: int64(figures.Blocks) * figures.Bsize, Available: int64(figures.Bavail) * figures.Bsize, //nolint:gosec
	}}}, nil
}

func (n *nodeService) NodeExpandVolume(_ context.Context, request *csi.NodeExpandVolumeRequest) (*csi.NodeExpandVolumeResponse, error) {
	if err := required(map[string]string{"volume_id": request.GetVolumeId(), "volume_path": request.GetVolumePath()}); err != nil {
		return nil, err
	}

	_, err := mountedOn(request.GetVolumePath())

	return &csi.NodeExpandVolumeResponse{CapacityBytes: request.GetCapacityRange().GetRequiredBytes()}, answered(err)
}

// run runs a program of the image or the node. Its output is part of the error.
func run(name string, args ...string) error {
	output, err := exec.Command(name, args...).CombinedOutput() //nolint:noctx
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, output)
	}

	return nil
}

// mountedOn returns the device that is mounted on a path.
func mountedOn(path string) (string, error) {
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return "", err
	}

	for _, line := range strings.Split(string(mounts), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == filepath.Clean(path) {
			return fields[0], nil
		}
	}

	return "", fmt.Errorf("%s: mount point: %w", path, errNotFound)
}

func unmount(path string) error {
	if _, err := mountedOn(path); isNotFound(err) {
		return nil
	}

	return run("umount", path)
}

func formatAndMount(device, path, kind string, options []string) error {
	if kind == "" {
		kind = "ext4"
	}

	// -p: probe the device itself, bypassing the cache of blkid.
	if exec.Command("blkid", "-p", device).Run() != nil { //nolint:noctx
		if err := run("mkfs."+kind, "-q", device); err != nil {
			return err
		}
	}

	args := []string{"-t", kind}
	if len(options) > 0 {
		args = append(args, "-o", strings.Join(options, ","))
	}

	// mount is looked up on PATH, where this project's shim comes first.
	return run("mount", append(args, device, path)...)
}

func waitFor(device string) error {
	for range 50 {
		if _, err := os.Stat(device); err == nil {
			return nil
		}

		time.Sleep(200 * time.Millisecond)
	}

	return fmt.Errorf("%s did not appear", device)
}

// joviandssNode stages and publishes as open-e/joviandss-kubernetescsi v1.1.0 pkg/node/targetapi.go does.
type joviandssNode struct{}

func (joviandssNode) device(context map[string]string) (string, error) {
	for _, name := range []string{"addrs", "iqn", "target"} { // :128-165
		if context[name] == "" {
			return "", status.Errorf(codes.InvalidArgument, "Request context does not contain %s", name)
		}
	}

	portal := strings.Split(context["addrs"], ",")[0] + ":" + context["port"]

	return fmt.Sprintf("/host/dev/disk/by-path/ip-%s-iscsi-%s-lun-%s", portal, context["iqn"], context["lun"]), nil // :45
}

func (j joviandssNode) stage(request *csi.NodeStageVolumeRequest) error {
	context := request.GetPublishContext()

	device, err := j.device(context)
	if err != nil {
		return err
	}

	record := filepath.Join(request.GetStagingTargetPath(), "starget") // :245
	portal := strings.Split(context["addrs"], ",")[0]

	if err = os.MkdirAll(request.GetStagingTargetPath(), 0o750); err != nil {
		return err
	}

	if err = os.WriteFile(record, []byte(portal+":"+context["port"]+" "+context["iqn"]), 0o600); err != nil {
		return err
	}

	if err = run("iscsiadm", "-m", "node", "-p", portal, "-T", context["iqn"], "-o", "new"); err != nil { // :486
		return err
	}

	if err = run("iscsiadm", "-m", "node", "-p", portal, "-T", context["iqn"], "--login"); err != nil { // :505
		// After a failed login, the driver logs out, even from a session that others use (:507).
		_ = run("iscsiadm", "-m", "node", "-p", portal, "-T", context["iqn"], "--logout")
		_ = run("iscsiadm", "-m", "node", "-p", portal, "-T", context["iqn"], "-o", "delete")
		_ = os.Remove(record)

		return err
	}

	return waitFor(device)
}

func (joviandssNode) unstage(_, path string) error {
	record := filepath.Join(path, "starget")

	text, err := os.ReadFile(record)
	if os.IsNotExist(err) {
		return nil // pkg/node/nodeplugin.go:148
	}

	portal, iqn, _ := strings.Cut(string(text), " ")
	_ = run("iscsiadm", "-m", "node", "-p", portal, "-T", iqn, "--logout") // :553, ignoring the result
	_ = run("iscsiadm", "-m", "node", "-p", portal, "-T", iqn, "-o", "delete")

	return os.Remove(record)
}

func (j joviandssNode) publish(request *csi.NodePublishVolumeRequest) error {
	device, err := j.device(request.GetPublishContext())
	if err != nil {
		return err
	}

	mount := request.GetVolumeCapability().GetMount()

	// Even if something is already mounted there (:362).
	return formatAndMount(device, request.GetTargetPath(), mount.GetFsType(), append(mount.GetMountFlags(), "defaults"))
}

// synologyNode stages and publishes as SynologyOpenSource/synology-csi v1.2.1 pkg/driver/nodeserver.go and initiator.go do.
type synologyNode struct {
	dsm      *synology
	chroot   string
	iscsiadm string
}

// command follows pkg/utils/hostexec/hostexec.go:80: without a path, /usr/bin/env in the chroot looks up the program.
func (s synologyNode) command(args ...string) []string {
	command := append([]string{s.iscsiadm}, args...)
	if s.iscsiadm == "" {
		command = append([]string{"/usr/bin/env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "iscsiadm"}, args...)
	}

	if s.chroot != "" {
		command = append([]string{"/usr/sbin/chroot", s.chroot}, command...)
	}

	return command
}

func (s synologyNode) call(args ...string) error {
	command := s.command(args...)

	return run(command[0], command[1:]...)
}

// hasSession reads every line of four words or more as a session, stdout and stderr alike (initiator.go:64, parseSessions).
func (s synologyNode) hasSession(iqn string) bool {
	command := s.command("-m", "session")
	output, _ := exec.Command(command[0], command[1:]...).CombinedOutput() //nolint:errcheck,noctx // exit code 21 means that there are none

	for _, line := range strings.Split(string(output), "\n") {
		if words := strings.Fields(line); len(words) >= 4 && words[3] == iqn {
			return true
		}
	}

	return false
}

func (s synologyNode) login(id string) (string, error) {
	found, err := s.dsm.export(id)
	if err != nil {
		return "", err
	}

	if !s.hasSession(found.iqn) { // initiator.go:202
		if err = s.call("-m", "discoverydb", "--type", "sendtargets", "--portal", found.portal, "--discover"); err != nil {
			return "", err
		}

		if err = s.call("-m", "node", "--targetname", found.iqn, "--portal", found.portal, "--login"); err != nil {
			return "", err
		}
	}

	device := fmt.Sprintf("/dev/disk/by-path/ip-%s-iscsi-%s-lun-%d", found.portal, found.iqn, found.lun) // nodeserver.go:216

	return device, waitFor(device)
}

func (s synologyNode) stage(request *csi.NodeStageVolumeRequest) error {
	device, err := s.login(request.GetVolumeId())
	if err != nil {
		return err
	}

	if _, err = mountedOn(request.GetStagingTargetPath()); err == nil { // nodeserver.go:400
		return nil
	}

	mount := request.GetVolumeCapability().GetMount()

	return formatAndMount(device, request.GetStagingTargetPath(), mount.GetFsType(), append([]string{"rw"}, mount.GetMountFlags()...))
}

func (s synologyNode) unstage(id, path string) error {
	if err := unmount(path); err != nil {
		return err
	}

	found, err := s.dsm.export(id)
	if err != nil || !s.hasSession(found.iqn) {
		return nil //nolint:nilerr // nodeserver.go:231: a volume that is gone has no session to end
	}

	return s.call("-m", "node", "--targetname", found.iqn, "--logout")
}

func (s synologyNode) publish(request *csi.NodePublishVolumeRequest) error {
	if _, err := mountedOn(request.GetTargetPath()); err == nil { // nodeserver.go:612
		return nil
	}

	if _, err := s.login(request.GetVolumeId()); err != nil {
		return err
	}

	return run("mount", "--bind", request.GetStagingTargetPath(), request.GetTargetPath())
}
