/** The kinds of documents a machine configuration can have beside the v1alpha1 one (siderolabs/talos pkg/machinery/config/types). */

/** Known to v1.13.9. Older releases know fewer of them. */
export const KINDS_UP_TO_1_13: ReadonlySet<string> = new Set(
  `BlackholeRouteConfig BondConfig BridgeConfig DHCPv4Config DHCPv6Config
   DummyLinkConfig EnvironmentConfig EthernetConfig EventSinkConfig ExistingVolumeConfig
   ExtensionServiceConfig ExternalVolumeConfig HCloudVIPConfig HostnameConfig ImageVerificationConfig
   KmsgLogConfig KubeSpanConfig KubeSpanEndpointsConfig Layer2VIPConfig LinkAliasConfig
   LinkConfig NetworkDefaultActionConfig NetworkRuleConfig OOMConfig PCIDriverRebindConfig
   RawVolumeConfig RegistryAuthConfig RegistryMirrorConfig RegistryTLSConfig ResolverConfig
   RoutingRuleConfig SideroLinkConfig StaticHostConfig SwapVolumeConfig TCPProbeConfig
   TimeSyncConfig TrustedRootsConfig UserVolumeConfig VLANConfig VRFConfig
   VolumeConfig WatchdogTimerConfig WireguardConfig ZswapConfig`.split(/\s+/),
);

/** New in v1.14. */
export const KINDS_SINCE_1_14: ReadonlySet<string> = new Set(
  `BGPInstanceConfig CRIBaseRuntimeSpecConfig CRICustomizationConfig ContainerConfig DiscoveryIdentityConfig
   DiscoveryServiceConfig EtcFileConfig FilesystemScrubConfig FilesystemTrimConfig HTTPProbeConfig
   ImageCacheConfig KernelModuleConfig KubeAPIServerCAConfig KubeAPIServerConfig KubeAdmissionControlConfig
   KubeAggregatorCAConfig KubeAuditPolicyConfig KubeAuthenticationConfig KubeAuthorizerConfig KubeClusterConfig
   KubeControllerManagerConfig KubeCoreDNSConfig KubeCredentialProviderConfig KubeEtcdEncryptionConfig KubeExternalManifestConfig
   KubeFlannelCNIConfig KubeInlineManifestConfig KubeNetworkConfig KubeNodeConfig KubePrismConfig
   KubeProxyConfig KubeSchedulerConfig KubeServiceAccountConfig KubeStaticPodConfig KubeTalosAPIAccessConfig
   KubeletConfig LVMLogicalVolumeConfig LVMVolumeGroupConfig RAIDArrayConfig SecurityProfileConfig
   SysctlConfig SysfsConfig UdevRulesConfig UnattendedInstallConfig VethConfig`.split(/\s+/),
);

/** Refused on workers (v1.14.1 container/validate.go). */
export const CONTROL_PLANE_KINDS: ReadonlySet<string> = new Set(
  `KubeAPIServerConfig KubeAdmissionControlConfig KubeAggregatorCAConfig KubeAuditPolicyConfig KubeAuthenticationConfig
   KubeAuthorizerConfig KubeControllerManagerConfig KubeCoreDNSConfig KubeEtcdEncryptionConfig KubeFlannelCNIConfig
   KubeProxyConfig KubeSchedulerConfig KubeServiceAccountConfig KubeTalosAPIAccessConfig`.split(/\s+/),
);
