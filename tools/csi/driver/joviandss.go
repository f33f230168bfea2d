package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"sigs.k8s.io/yaml"
)

// joviandssConfig has the keys that open-e/joviandss-kubernetescsi v1.1.0 reads (pkg/common/common.go:43-70).
type joviandssConfig struct {
	LogLevel string `json:"loglevel"`
	Pool     string `json:"pool"`
	Endpoint struct {
		Addrs       []string `json:"addrs"`
		Port        int      `json:"port"`
		Prot        string   `json:"prot"`
		User        string   `json:"user"`
		Pass        string   `json:"pass"`
		IdleTimeout string   `json:"idletimeout"`
	} `json:"endpoint"`
	ISCSI struct {
		IQN   string   `json:"iqn"`
		Addrs []string `json:"addrs"`
		Port  int      `json:"port"`
	} `json:"iscsi"`
}

// logrus.ParseLevel of the driver (app/joviandssplugin/main.go:84): anything else ends the process.
const logLevels = " panic fatal error warn warning info debug trace "

func runJovianDSS(args []string) error {
	// Flags and defaults of app/joviandssplugin/main.go:99-112; flag.Parse ends the process on an unknown one.
	flags := flag.NewFlagSet("jdss-csi-plugin", flag.ExitOnError)
	address := flags.String("csi-address", "/var/lib/kubelet/plugins_registry/joviandss-csi-driver/csi.sock", "")
	network := flags.String("soc-type", "tcp", "")
	controller := flags.Bool("controller", false, "")
	node := flags.Bool("node", false, "")
	identity := flags.Bool("identity", false, "")
	nodeID := flags.String("nodeid", "", "")
	path := flags.String("config", "", "")
	level := flags.String("loglevel", "WARNING", "")
	flags.String("logpath", "", "")

	if err := flags.Parse(args); err != nil {
		return err
	}

	var config joviandssConfig

	if *path != "" { // app/joviandssplugin/main.go:114-121
		text, err := os.ReadFile(*path)
		if err != nil {
			return fmt.Errorf("Unable to process config: %w", err) //nolint:stylecheck // the driver's words
		}

		if err = yaml.Unmarshal(text, &config); err != nil {
			return fmt.Errorf("Unable to process config: %w", err) //nolint:stylecheck // the driver's words
		}

		*level = config.LogLevel
	} else if *controller { // pkg/pluginserver/pluginserver.go:90: SetupControllerPlugin fails to read the missing configuration
		return fmt.Errorf("a controller without --config")
	}

	if *level == "" || !strings.Contains(logLevels, " "+strings.ToLower(*level)+" ") {
		return fmt.Errorf("LogLevel processing error: not a valid logrus Level: %q", *level)
	}

	var served services

	if *identity { // pkg/pluginserver/pluginserver.go:81
		served.identity = identityService{name: "iscsi.csi.joviandss.open-e.com"}
	}

	if *controller {
		// pkg/rest/rproxy.go:241: without it the REST client is never set up, and the first call crashes.
		if _, err := time.ParseDuration(config.Endpoint.IdleTimeout); err != nil {
			return fmt.Errorf("endpoint.idletimeout: %w", err)
		}

		served.controller = &controllerService{array: newJovianDSS(config), capabilities: []csi.ControllerServiceCapability_RPC_Type{
			csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME, // pkg/controller/controllerplugin.go:64
			csi.ControllerServiceCapability_RPC_CLONE_VOLUME,
			csi.ControllerServiceCapability_RPC_LIST_VOLUMES,
			csi.ControllerServiceCapability_RPC_PUBLISH_UNPUBLISH_VOLUME,
			csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
			csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS,
			csi.ControllerServiceCapability_RPC_GET_CAPACITY,
		}}
	}

	if *node {
		served.node = &nodeService{id: *nodeID, volumes: joviandssNode{}, capabilities: []csi.NodeServiceCapability_RPC_Type{
			csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME, // pkg/node/nodeplugin.go:20
		}}
	}

	return serve(*network, *address, served)
}

// joviandss talks to the REST API of one pool.
type joviandss struct {
	config joviandssConfig
	client *http.Client
}

func newJovianDSS(config joviandssConfig) *joviandss {
	return &joviandss{config: config, client: &http.Client{
		Timeout: 30 * time.Second,
		// Same as in the driver (pkg/rest/rproxy.go:249).
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec
	}}
}

// ask sends a request to the pool and decodes `data` from its response.
func (j *joviandss) ask(method, path string, body, answer any) error {
	var content io.Reader

	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}

		content = bytes.NewReader(text)
	}

	endpoint := j.config.Endpoint
	url := fmt.Sprintf("%s://%s:%d/api/v3/pools/%s%s", endpoint.Prot, endpoint.Addrs[0], endpoint.Port, j.config.Pool, path)

	request, err := http.NewRequestWithContext(context.Background(), method, url, content)
	if err != nil {
		return err
	}

	request.SetBasicAuth(endpoint.User, endpoint.Pass)

	response, err := j.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck

	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}

	if response.StatusCode < 300 {
		if answer == nil {
			return nil
		}

		return json.Unmarshal(text, &struct {
			Data any `json:"data"`
		}{answer})
	}

	var failure struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}

	if err = json.Unmarshal(text, &failure); err != nil {
		return fmt.Errorf("%s %s: status %d", method, path, response.StatusCode)
	}

	message := failure.Error.Message

	switch { // pkg/rest/errors.go:76-102
	case strings.Contains(message, "not found") || strings.Contains(message, "not exist"):
		return fmt.Errorf("%s: %w", message, errNotFound)
	case strings.Contains(message, "already"):
		return fmt.Errorf("%s: %w", message, errExists)
	case strings.Contains(message, "cannot destroy") || strings.Contains(message, "delete all of its clones"):
		return fmt.Errorf("%s: %w", message, errBusy)
	}

	return fmt.Errorf("%s %s: %s", method, path, message)
}

type joviandssVolume struct {
	Name string `json:"name"`
	Size string `json:"volsize"`
}

func (v joviandssVolume) volume() volume {
	size, _ := strconv.ParseInt(v.Size, 10, 64) //nolint:errcheck // no size is none

	return volume{id: v.Name, name: strings.TrimPrefix(v.Name, "vp_"), bytes: size}
}

func (j *joviandss) volumes() ([]volume, error) {
	var answer struct {
		Entries []joviandssVolume `json:"entries"`
	}

	if err := j.ask(http.MethodGet, "/volumes?page=0&_dc=1", nil, &answer); err != nil {
		return nil, err
	}

	list := make([]volume, 0, len(answer.Entries))
	for _, entry := range answer.Entries {
		list = append(list, entry.volume())
	}

	return list, nil
}

func (j *joviandss) createVolume(name string, size int64) (volume, error) {
	id := "vp_" + name // pkg/driver/lunid.go:66
	body := map[string]string{"name": id, "size": strconv.FormatInt(size, 10)}

	return volume{id: id, name: name, bytes: size}, j.ask(http.MethodPost, "/volumes", body, nil)
}

func (j *joviandss) clone(name, source, from string, size int64) (volume, error) {
	id := "vp_" + name
	err := j.ask(http.MethodPost, "/volumes/"+source+"/clone", map[string]string{"name": id, "snapshot": from}, nil)

	return volume{id: id, name: name, bytes: size}, err
}

func (j *joviandss) cloneVolume(name string, source volume) (volume, error) {
	between := "vp_" + name // the snapshot has the clone's name (pkg/driver/driver.go:152)
	if err := j.ask(http.MethodPost, "/volumes/"+source.id+"/snapshots", map[string]string{"snapshot_name": between}, nil); err != nil {
		return volume{}, err
	}

	return j.clone(name, source.id, between, source.bytes)
}

func (j *joviandss) restoreSnapshot(name string, from snapshot) (volume, error) {
	return j.clone(name, from.source, "sp_"+from.name, from.bytes)
}

func (j *joviandss) growVolume(string, int64) error { return fmt.Errorf("the driver cannot expand") }

func (j *joviandss) deleteVolume(id string) error {
	remove := func() error {
		return j.ask(http.MethodDelete, "/volumes/"+id, map[string]bool{"force_umount": true}, nil)
	}

	err := remove()
	if !errors.Is(err, errBusy) {
		return err
	}

	// Deletes snapshots that were created for clones and that no clone needs anymore (pkg/driver/driver.go, cleanIntermediateSnapshots).
	taken, failed := j.taken()
	if failed != nil {
		return failed
	}

	for _, entry := range taken {
		if entry.Volume == id && strings.HasPrefix(entry.Name, "vp_") {
			path := "/volumes/" + id + "/snapshots/" + entry.Name
			if failed = j.ask(http.MethodDelete, path, map[string]bool{"force_umount": true}, nil); failed != nil {
				return failed
			}
		}
	}

	return remove()
}

type joviandssSnapshotEntry struct {
	Volume     string `json:"volume"`
	Name       string `json:"name"`
	Properties struct {
		Creation string `json:"creation"`
	} `json:"properties"`
}

func (j *joviandss) taken() ([]joviandssSnapshotEntry, error) {
	var answer struct {
		Entries []joviandssSnapshotEntry `json:"entries"`
	}

	err := j.ask(http.MethodGet, "/volumes/snapshots?page=0&_dc=1", nil, &answer)

	return answer.Entries, err
}

func (j *joviandss) snapshots() ([]snapshot, error) {
	taken, err := j.taken()
	if err != nil {
		return nil, err
	}

	var list []snapshot

	for _, entry := range taken {
		if !strings.HasPrefix(entry.Name, "sp_") {
			continue // a clone depends on it
		}

		seconds, _ := strconv.ParseInt(entry.Properties.Creation, 10, 64) //nolint:errcheck
		list = append(list, joviandssSnapshot(strings.TrimPrefix(entry.Name, "sp_"), entry.Volume, 0, time.Unix(seconds, 0)))
	}

	return list, nil
}

// The identifier names snapshot and volume (pkg/driver/snapid.go:64).
func joviandssSnapshot(name, source string, size int64, taken time.Time) snapshot {
	id := "sp_" + name + "_" + base64.StdEncoding.EncodeToString([]byte(source))

	return snapshot{id: id, name: name, source: source, bytes: size, taken: taken}
}

func (j *joviandss) createSnapshot(name string, source volume) (snapshot, error) {
	path := "/volumes/" + source.id + "/snapshots"
	err := j.ask(http.MethodPost, path, map[string]string{"snapshot_name": "sp_" + name}, nil)

	return joviandssSnapshot(name, source.id, source.bytes, time.Now()), err
}

func (j *joviandss) deleteSnapshot(taken snapshot) error {
	path := "/volumes/" + taken.source + "/snapshots/sp_" + taken.name

	return j.ask(http.MethodDelete, path, map[string]bool{"force_umount": true}, nil)
}

func (j *joviandss) free() (int64, error) {
	var answer struct {
		Available string `json:"available"`
	}

	if err := j.ask(http.MethodGet, "", nil, &answer); err != nil {
		return 0, err
	}

	return strconv.ParseInt(answer.Available, 10, 64)
}

func (j *joviandss) target(id string) string {
	return fmt.Sprintf("%s:%x", j.config.ISCSI.IQN, sha256.Sum256([]byte(id))) // pkg/driver/targetid.go:28
}

func (j *joviandss) publish(id string) (map[string]string, error) {
	iqn := j.target(id)

	err := j.ask(http.MethodPost, "/san/iscsi/targets", map[string]any{"name": iqn, "active": true}, nil)
	if err != nil && !isExists(err) {
		return nil, err
	}

	lun := map[string]any{"name": id, "mode": "wt", "lun": 0}

	err = j.ask(http.MethodPost, "/san/iscsi/targets/"+iqn+"/luns", lun, nil)
	if err != nil && !isExists(err) {
		return nil, err
	}

	// The context that the node plugin reads (pkg/node/targetapi.go:128-186).
	return map[string]string{
		"iqn": iqn, "target": iqn[strings.LastIndex(iqn, ":")+1:], "lun": "0",
		"addrs": strings.Join(j.config.ISCSI.Addrs, ","), "port": strconv.Itoa(j.config.ISCSI.Port),
	}, nil
}

func (j *joviandss) unpublish(id string) error {
	iqn := j.target(id)

	for _, path := range []string{"/luns/" + id, ""} {
		if err := j.ask(http.MethodDelete, "/san/iscsi/targets/"+iqn+path, nil, nil); err != nil && !isNotFound(err) {
			return err
		}
	}

	return nil
}
