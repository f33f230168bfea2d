package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// synologyClient is an entry of client-info.yml (SynologyOpenSource/synology-csi v1.2.1 pkg/dsm/common/config.go:13).
type synologyClient struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	HTTPS    bool   `json:"https"`
	Username string `json:"username"`
	Password string `json:"password"`
}

func runSynology(args []string) error {
	// main.go:121-131. The driver ignores unknown flags (main.go:111); here they would be our own mistake.
	flags := flag.NewFlagSet("synology-csi-driver", flag.ExitOnError)
	nodeID := flags.String("nodeid", "CSINode", "")
	endpoint := flags.String("endpoint", "unix:///var/lib/kubelet/plugins/csi.san.synology.com/csi.sock", "")
	path := flags.String("client-info", "/etc/synology/client-info.yml", "")
	chroot := flags.String("chroot-dir", "", "")
	iscsiadm := flags.String("iscsiadm-path", "", "")

	for _, name := range []string{"log-level", "multipath-path", "multipathd-path"} {
		flags.String(name, "", "")
	}

	flags.Bool("multipath", true, "")
	flags.Bool("debug", false, "")

	if err := flags.Parse(args); err != nil {
		return err
	}

	text, err := os.ReadFile(*path) // main.go:61, pkg/dsm/common/config.go:25
	if err != nil {
		return fmt.Errorf("Failed to read config: %w", err) //nolint:stylecheck // the driver's words
	}

	var info struct {
		Clients []synologyClient `json:"clients"`
	}

	if err = yaml.Unmarshal(text, &info); err != nil {
		return fmt.Errorf("Failed to read config: %w", err) //nolint:stylecheck // the driver's words
	}

	if len(info.Clients) != 1 {
		return fmt.Errorf("this driver of the tests serves one array, not %d", len(info.Clients))
	}

	dsm := &synology{client: info.Clients[0], http: &http.Client{
		Timeout: 30 * time.Second,
		// Same as in the driver (pkg/dsm/webapi/dsmwebapi.go:70).
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec
	}}

	if err = dsm.login(); err != nil { // main.go:68: only logged, and the process continues without the array
		fmt.Printf("Failed to add DSM: %s, error: %v\n", dsm.client.Host, err)
	}

	if *chroot != "" { // pkg/utils/hostexec/hostexec.go:36
		if stat, statErr := os.Stat(*chroot); statErr != nil || !stat.IsDir() {
			return fmt.Errorf("Failed to create command executor: chroot directory does not exist or is not a directory") //nolint:stylecheck
		}
	}

	if _, err = rest.InClusterConfig(); err != nil { // pkg/driver/nodeserver.go getK8sClient, called for controllers too (pkg/driver/utils.go:46, 72)
		return fmt.Errorf("Failed to read in-cluster config: %w", err) //nolint:stylecheck // the driver's words
	}

	network, address, found := strings.Cut(*endpoint, "://") // pkg/driver/utils.go:30
	if !found || address == "" {
		return fmt.Errorf("Invalid endpoint: %s", *endpoint) //nolint:stylecheck // the driver's words
	}

	if network == "unix" {
		address = "/" + address // pkg/driver/grpc.go:86
	}

	return serve(network, address, services{
		identity: identityService{name: "csi.san.synology.com"},
		controller: &controllerService{array: dsm, least: 1 << 30, capabilities: []csi.ControllerServiceCapability_RPC_Type{
			csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME, // pkg/driver/driver.go:67
			csi.ControllerServiceCapability_RPC_LIST_VOLUMES,
			csi.ControllerServiceCapability_RPC_EXPAND_VOLUME,
			csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
			csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS,
			csi.ControllerServiceCapability_RPC_CLONE_VOLUME,
			csi.ControllerServiceCapability_RPC_GET_CAPACITY,
		}},
		node: &nodeService{id: *nodeID, volumes: synologyNode{dsm, *chroot, *iscsiadm}, capabilities: []csi.NodeServiceCapability_RPC_Type{
			csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME, // pkg/driver/driver.go:82
			csi.NodeServiceCapability_RPC_EXPAND_VOLUME,
			csi.NodeServiceCapability_RPC_GET_VOLUME_STATS,
		}},
	})
}

// synology talks to DSM's web API.
type synology struct {
	client synologyClient
	http   *http.Client
	mu     sync.Mutex
	sid    string
}

// Names on the array (pkg/models/dsm.go:31-36).
const lunPrefix = "k8s-csi-"

func (s *synology) login() error {
	var answer struct {
		SID string `json:"sid"`
	}

	err := s.send("webapi/auth.cgi", url.Values{
		"api": {"SYNO.API.Auth"}, "method": {"login"}, "version": {"3"}, "format": {"sid"},
		"account": {s.client.Username}, "passwd": {s.client.Password},
	}, &answer)
	s.sid = answer.SID

	return err
}

func (s *synology) ask(api, method string, params map[string]string, answer any) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	values := url.Values{"api": {api}, "method": {method}, "version": {"1"}}
	for name, value := range params {
		values.Set(name, value)
	}

	return s.send("webapi/entry.cgi", values, answer)
}

func (s *synology) send(path string, values url.Values, answer any) error {
	scheme := "http"
	if s.client.HTTPS {
		scheme = "https"
	}

	address := fmt.Sprintf("%s://%s:%d/%s?%s", scheme, s.client.Host, s.client.Port, path, values.Encode())

	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, address, nil)
	if err != nil {
		return err
	}

	request.AddCookie(&http.Cookie{Name: "id", Value: s.sid})

	response, err := s.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck

	var envelope struct {
		Success bool            `json:"success"`
		Data    json.RawMessage `json:"data"`
		Error   struct {
			Code int `json:"code"`
		} `json:"error"`
	}

	if err = json.NewDecoder(response.Body).Decode(&envelope); err != nil {
		return err
	}

	if !envelope.Success {
		what := fmt.Sprintf("%s %s: DSM error %d", values.Get("api"), values.Get("method"), envelope.Error.Code)

		switch envelope.Error.Code { // pkg/dsm/webapi/iscsi.go:107
		case 18990531, 18990532:
			return fmt.Errorf("%s: %w", what, errNotFound)
		case 18990538, 18990744:
			return fmt.Errorf("%s: %w", what, errExists)
		}

		return fmt.Errorf("%s", what)
	}

	if answer == nil || envelope.Data == nil {
		return nil
	}

	return json.Unmarshal(envelope.Data, answer)
}

type synologyTarget struct {
	ID     int    `json:"target_id"`
	IQN    string `json:"iqn"`
	Mapped []struct {
		LUN   string `json:"lun_uuid"`
		Index int    `json:"mapping_index"`
	} `json:"mapped_luns"`
}

type synologyLUN struct {
	Name string `json:"name"`
	UUID string `json:"uuid"`
	Size int64  `json:"size"`
}

func (l synologyLUN) volume() volume {
	return volume{id: l.UUID, name: strings.TrimPrefix(l.Name, lunPrefix), bytes: l.Size}
}

const (
	lunAPI    = "SYNO.Core.ISCSI.LUN"
	targetAPI = "SYNO.Core.ISCSI.Target"
)

func (s *synology) targets() ([]synologyTarget, error) {
	var answer struct {
		Targets []synologyTarget `json:"targets"`
	}

	err := s.ask(targetAPI, "list", map[string]string{"additional": `["mapped_lun"]`}, &answer)

	return answer.Targets, err
}

func (s *synology) volumes() ([]volume, error) {
	var answer struct {
		LUNs []synologyLUN `json:"luns"`
	}

	if err := s.ask(lunAPI, "list", map[string]string{"types": `["BLOCK","FILE","THIN","ADV","BLUN"]`}, &answer); err != nil {
		return nil, err
	}

	var list []volume

	for _, lun := range answer.LUNs {
		if strings.HasPrefix(lun.Name, lunPrefix) {
			list = append(list, lun.volume())
		}
	}

	return list, nil
}

// finish creates the target of a LUN, as pkg/dsm/service/dsm.go:160 does for every new volume.
func (s *synology) finish(name, uuid string, size int64) (volume, error) {
	var target struct {
		ID int `json:"target_id"`
	}

	iqn := strings.NewReplacer("_", "-", "+", "p").Replace("iqn.2000-01.com.synology:lab." + name)
	if len(iqn) > 128 { // pkg/models/dsm.go:19
		iqn = iqn[:128]
	}

	params := map[string]string{"name": lunPrefix + name, "auth_type": "0", "iqn": iqn}
	if err := s.ask(targetAPI, "create", params, &target); err != nil {
		return volume{}, err
	}

	params = map[string]string{"uuid": strconv.Quote(uuid), "target_ids": fmt.Sprintf("[%d]", target.ID)}

	return volume{id: uuid, name: name, bytes: size}, s.ask(lunAPI, "map_target", params, nil)
}

func (s *synology) createVolume(name string, size int64) (volume, error) {
	var answer struct {
		UUID string `json:"uuid"`
	}

	err := s.ask(lunAPI, "create", map[string]string{
		"name": strconv.Quote(lunPrefix + name), "size": strconv.FormatInt(size, 10), "type": "ADV", "location": "/volume1",
	}, &answer)
	if err != nil {
		return volume{}, err
	}

	return s.finish(name, answer.UUID, size)
}

func (s *synology) cloneVolume(name string, source volume) (volume, error) {
	var answer struct {
		UUID string `json:"dst_lun_uuid"`
	}

	err := s.ask(lunAPI, "clone", map[string]string{
		"src_lun_uuid": strconv.Quote(source.id), "dst_lun_name": strconv.Quote(lunPrefix + name), "dst_location": strconv.Quote("/volume1"),
	}, &answer)
	if err != nil {
		return volume{}, err
	}

	return s.finish(name, answer.UUID, source.bytes)
}

func (s *synology) restoreSnapshot(name string, from snapshot) (volume, error) {
	var answer struct {
		UUID string `json:"cloned_lun_uuid"`
	}

	err := s.ask(lunAPI, "clone_snapshot", map[string]string{
		"src_lun_uuid": strconv.Quote(from.source), "snapshot_uuid": strconv.Quote(from.id), "cloned_lun_name": strconv.Quote(lunPrefix + name),
	}, &answer)
	if err != nil {
		return volume{}, err
	}

	return s.finish(name, answer.UUID, from.bytes)
}

func (s *synology) growVolume(id string, size int64) error {
	return s.ask(lunAPI, "set", map[string]string{"uuid": strconv.Quote(id), "new_size": strconv.FormatInt(size, 10)}, nil)
}

func (s *synology) deleteVolume(id string) error {
	export, err := s.exported(id)
	if err != nil {
		return err
	}

	if err = s.ask(lunAPI, "delete", map[string]string{"uuid": strconv.Quote(id)}, nil); err != nil {
		return err
	}

	return s.ask(targetAPI, "delete", map[string]string{"target_id": strconv.Quote(strconv.Itoa(export.ID))}, nil)
}

func (s *synology) exported(id string) (synologyTarget, error) {
	targets, err := s.targets()
	if err != nil {
		return synologyTarget{}, err
	}

	for _, target := range targets {
		if len(target.Mapped) > 0 && target.Mapped[0].LUN == id {
			return target, nil
		}
	}

	return synologyTarget{}, errNotFound
}

// export looks it up on the array. Node plugins do the same (pkg/driver/nodeserver.go, loginTarget).
func (s *synology) export(id string) (export, error) {
	target, err := s.exported(id)
	if err != nil {
		return export{}, err
	}

	return export{portal: s.client.Host + ":3260", iqn: target.IQN, lun: target.Mapped[0].Index}, nil
}

type synologySnapshot struct {
	Name    string `json:"name"`
	UUID    string `json:"uuid"`
	Parent  string `json:"parent_uuid"`
	Size    int64  `json:"total_size"`
	Created int64  `json:"create_time"`
}

func (s *synology) snapshots() ([]snapshot, error) {
	luns, err := s.volumes()
	if err != nil {
		return nil, err
	}

	var list []snapshot

	for _, lun := range luns {
		var answer struct {
			Snapshots []synologySnapshot `json:"snapshots"`
		}

		if err = s.ask(lunAPI, "list_snapshot", map[string]string{"src_lun_uuid": strconv.Quote(lun.id)}, &answer); err != nil {
			return nil, err
		}

		for _, one := range answer.Snapshots {
			list = append(list, snapshot{one.UUID, one.Name, one.Parent, one.Size, time.Unix(one.Created, 0)})
		}
	}

	return list, nil
}

func (s *synology) createSnapshot(name string, source volume) (snapshot, error) {
	var answer struct {
		UUID string `json:"snapshot_uuid"`
	}

	err := s.ask(lunAPI, "take_snapshot", map[string]string{
		"src_lun_uuid": strconv.Quote(source.id), "snapshot_name": strconv.Quote(name),
		"is_locked": "false", "is_app_consistent": "false",
	}, &answer)

	return snapshot{id: answer.UUID, name: name, source: source.id, bytes: source.bytes, taken: time.Now()}, err
}

func (s *synology) deleteSnapshot(taken snapshot) error {
	return s.ask(lunAPI, "delete_snapshot", map[string]string{"snapshot_uuid": strconv.Quote(taken.id)}, nil)
}

func (s *synology) free() (int64, error) {
	var answer struct {
		Volumes []struct {
			Free string `json:"size_free_byte"`
		} `json:"volumes"`
	}

	if err := s.ask("SYNO.Core.Storage.Volume", "list", map[string]string{"location": "all"}, &answer); err != nil {
		return 0, err
	}

	var sum int64

	for _, one := range answer.Volumes {
		bytes, err := strconv.ParseInt(one.Free, 10, 64)
		if err != nil {
			return 0, err
		}

		sum += bytes
	}

	return sum, nil
}
