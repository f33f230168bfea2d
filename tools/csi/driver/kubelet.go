package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// kubelet plays the lifecycle of a volume on one node: the calls of the provisioner, the attacher and the kubelet, in order.
type kubelet struct {
	controller csi.ControllerClient
	node       csi.NodeClient
	nodeID     string
	params     map[string]string
	attaches   bool

	volume  *csi.Volume
	context map[string]string
}

// The kubelet's own paths (pkg/volume/csi/csi_attacher.go, csi_mounter.go).
const (
	stagingPath = "/var/lib/kubelet/plugins/kubernetes.io/csi/lab/globalmount"
	targetPath  = "/var/lib/kubelet/pods/lab/volumes/kubernetes.io~csi/data/mount"
)

var mounted = &csi.VolumeCapability{
	AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{FsType: "ext4"}},
	AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
}

// runKubelet prints a line of JSON for each step, and exits with 1 at the first one that fails.
func runKubelet(args []string) error {
	flags := flag.NewFlagSet("kubelet", flag.ExitOnError)
	controllerSocket := flags.String("controller", "", "")
	nodeSocket := flags.String("node", "", "")
	part := flags.String("part", "", "")
	state := flags.String("state", "", "")
	params := flags.String("parameters", "{}", "")

	if err := flags.Parse(args); err != nil {
		return err
	}

	if *part == "detach" { // the node goes down: loop devices would outlive it
		for _, one := range sessions() {
			logout(iscsiRequest{target: one.IQN})
		}

		return nil
	}

	k := &kubelet{}

	if err := json.Unmarshal([]byte(*params), &k.params); err != nil {
		return err
	}

	if err := k.connect(*controllerSocket, *nodeSocket); err != nil {
		return err
	}

	if err := k.remember(*state); err != nil {
		return err
	}

	parts := map[string][]step{
		// A pod gets a volume.
		"use": {
			{"CreateVolume", k.create},
			{"ControllerPublishVolume", k.attach},
			{"NodeStageVolume", k.stage},
			{"NodePublishVolume", k.publish},
			{"the pod writes", k.write},
		},
		// The kubelet restarts and stages and publishes every volume in use again.
		"again": {
			{"NodeStageVolume again", k.stage},
			{"NodePublishVolume again", k.publish},
			{"the pod still has its data", k.read},
		},
		// The pod is deleted, then the claim.
		"release": {
			{"NodeUnpublishVolume", k.unpublish},
			{"NodeUnstageVolume", k.unstage},
			{"ControllerUnpublishVolume", k.detach},
			{"DeleteVolume", k.destroy},
		},
	}

	steps, known := parts[*part]
	if !known {
		return fmt.Errorf("--part must be use, again or release")
	}

	for _, one := range steps {
		if err := report(one); err != nil {
			return err
		}
	}

	text, err := json.Marshal(map[string]any{"volume": k.volume, "context": k.context})
	if err != nil {
		return err
	}

	return os.WriteFile(*state, text, 0o600)
}

type step struct {
	name string
	take func(ctx context.Context) error
}

func report(one step) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	err := one.take(ctx)

	line := map[string]string{"step": one.name}
	if err != nil {
		line["error"] = err.Error()
	}

	text, failed := json.Marshal(line)
	if failed != nil {
		return failed
	}

	fmt.Println(string(text))

	return err
}

func (k *kubelet) connect(controllerSocket, nodeSocket string) error {
	dial := func(socket string) (*grpc.ClientConn, error) {
		return grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	}

	controller, err := dial(controllerSocket)
	if err != nil {
		return err
	}

	node, err := dial(nodeSocket)
	if err != nil {
		return err
	}

	k.controller, k.node = csi.NewControllerClient(controller), csi.NewNodeClient(node)

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	can, err := k.controller.ControllerGetCapabilities(ctx, &csi.ControllerGetCapabilitiesRequest{})
	if err != nil {
		return err
	}

	for _, one := range can.GetCapabilities() {
		if one.GetRpc().GetType() == csi.ControllerServiceCapability_RPC_PUBLISH_UNPUBLISH_VOLUME {
			k.attaches = true
		}
	}

	info, err := k.node.NodeGetInfo(ctx, &csi.NodeGetInfoRequest{})
	k.nodeID = info.GetNodeId()

	return err
}

func (k *kubelet) remember(file string) error {
	var known struct {
		Volume  *csi.Volume       `json:"volume"`
		Context map[string]string `json:"context"`
	}

	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}

	if err != nil {
		return err
	}

	if err = json.Unmarshal(text, &known); err != nil {
		return err
	}

	k.volume, k.context = known.Volume, known.Context

	return nil
}

func (k *kubelet) create(ctx context.Context) error {
	answer, err := k.controller.CreateVolume(ctx, &csi.CreateVolumeRequest{
		Name: "pvc-lab-kubelet", CapacityRange: &csi.CapacityRange{RequiredBytes: oneGiB},
		VolumeCapabilities: []*csi.VolumeCapability{mounted}, Parameters: k.params,
	})
	k.volume = answer.GetVolume()

	return err
}

func (k *kubelet) attach(ctx context.Context) error {
	if !k.attaches {
		return nil
	}

	answer, err := k.controller.ControllerPublishVolume(ctx, &csi.ControllerPublishVolumeRequest{
		VolumeId: k.volume.GetVolumeId(), NodeId: k.nodeID, VolumeCapability: mounted, VolumeContext: k.volume.GetVolumeContext(),
	})
	k.context = answer.GetPublishContext()

	return err
}

func (k *kubelet) stage(ctx context.Context) error {
	if err := os.MkdirAll(stagingPath, 0o750); err != nil {
		return err
	}

	_, err := k.node.NodeStageVolume(ctx, &csi.NodeStageVolumeRequest{
		VolumeId: k.volume.GetVolumeId(), PublishContext: k.context, StagingTargetPath: stagingPath,
		VolumeCapability: mounted, VolumeContext: k.volume.GetVolumeContext(),
	})

	return err
}

func (k *kubelet) publish(ctx context.Context) error {
	// Only the parent; the driver creates the last folder.
	if err := os.MkdirAll(filepath.Dir(targetPath), 0o750); err != nil {
		return err
	}

	_, err := k.node.NodePublishVolume(ctx, &csi.NodePublishVolumeRequest{
		VolumeId: k.volume.GetVolumeId(), PublishContext: k.context, StagingTargetPath: stagingPath, TargetPath: targetPath,
		VolumeCapability: mounted, VolumeContext: k.volume.GetVolumeContext(),
	})

	return err
}

const written = "what the pod wrote"

func (k *kubelet) write(context.Context) error {
	if _, err := mountedOn(targetPath); err != nil {
		return err // the driver mounted it only in its own mount namespace
	}

	return os.WriteFile(filepath.Join(targetPath, "file"), []byte(written), 0o600)
}

func (k *kubelet) read(context.Context) error {
	device, err := mountedOn(targetPath)
	if err != nil {
		return err
	}

	if len(sessions()) != 1 {
		return fmt.Errorf("the node has %d iSCSI sessions, not 1", len(sessions()))
	}

	if one := sessions()[0]; filepath.Base(one.Device) != filepath.Base(device) {
		return fmt.Errorf("%s is mounted, but the session has %s", device, one.Device)
	}

	text, err := os.ReadFile(filepath.Join(targetPath, "file"))
	if err == nil && string(text) != written {
		err = fmt.Errorf("the file has %q", text)
	}

	if err != nil {
		return err
	}

	return os.WriteFile(filepath.Join(targetPath, "later"), []byte("still writable"), 0o600)
}

func (k *kubelet) unpublish(ctx context.Context) error {
	_, err := k.node.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: k.volume.GetVolumeId(), TargetPath: targetPath})
	if err != nil {
		return err
	}

	if device, err := mountedOn(targetPath); err == nil {
		return fmt.Errorf("%s is still mounted", device)
	}

	return nil
}

func (k *kubelet) unstage(ctx context.Context) error {
	_, err := k.node.NodeUnstageVolume(ctx, &csi.NodeUnstageVolumeRequest{VolumeId: k.volume.GetVolumeId(), StagingTargetPath: stagingPath})
	if err != nil {
		return err
	}

	if left := sessions(); len(left) > 0 {
		return fmt.Errorf("the session to %s is left", left[0].IQN)
	}

	return nil
}

func (k *kubelet) detach(ctx context.Context) error {
	if !k.attaches {
		return nil
	}

	_, err := k.controller.ControllerUnpublishVolume(ctx, &csi.ControllerUnpublishVolumeRequest{VolumeId: k.volume.GetVolumeId(), NodeId: k.nodeID})

	return err
}

func (k *kubelet) destroy(ctx context.Context) error {
	_, err := k.controller.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: k.volume.GetVolumeId()})

	return err
}
