"""The runbooks for AWS that ship, against an AWS that answers as AWS does: moto, over HTTP and with its signatures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import uuid4
from zipfile import ZipFile

import aws
import pytest
from harness import CAROL, Harness, Target
from local_server import answer

from engine.orchestration.admission import Wanted
from engine.runs import live_plans
from storage.states import ExecutionStatus

pytestmark = pytest.mark.slow
ZONE = "Z0123456789ABCDEFGHIJ"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with aws.moto_server() as at:
        yield at


@pytest.fixture(autouse=True)
def keys(harness: Harness) -> None:
    aws.know_keys(harness)


@pytest.fixture
def instance(url: str) -> str:
    ec2 = aws.client(url, "ec2")
    started: dict[str, Any] = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)
    return str(started["Instances"][0]["InstanceId"])


@pytest.mark.parametrize("way", ["reboot", "stop-start"])
def test_an_instance_is_restarted(harness: Harness, url: str, instance: str, way: str) -> None:
    slug = aws.approved(harness, url, "aws-ec2-restart")
    execution, status = aws.run(harness, slug, instance=instance, way=way)
    assert status is ExecutionStatus.SUCCESS, aws.troubles(harness, execution)


def planned_live(harness: Harness, slug: str, **parameters: Any) -> dict[str, str]:
    plan = live_plans.make(harness.rt, CAROL, Wanted(slug, parameters, trigger="test", reason="An incident"))
    return {each["step"]: each["live"]["outcome"] for each in plan.every_step() if "live" in each}


@pytest.mark.parametrize(("way", "asked"), [("reboot", "reboot"), ("stop-start", "stop")])
def test_a_dry_run_tells_that_it_would_work_and_does_nothing(
    harness: Harness, url: str, instance: str, way: str, asked: str
) -> None:
    """AWS answers 412 DryRunOperation, and the instance goes on as before."""
    slug = aws.approved(harness, url, "aws-ec2-restart")
    assert planned_live(harness, slug, instance=instance, way=way) == {asked: "success"}
    (found,) = aws.client(url, "ec2").describe_instances(InstanceIds=[instance])["Reservations"]
    assert found["Instances"][0]["State"]["Name"] == "running"


def test_an_instance_that_is_stopped_stays_so(harness: Harness, url: str, instance: str) -> None:
    """The check before the gate fails: nobody is asked, and nothing is started."""
    ec2 = aws.client(url, "ec2")
    ec2.stop_instances(InstanceIds=[instance])
    execution, status = aws.run(harness, aws.approved(harness, url, "aws-ec2-restart"), instance=instance)
    assert status is ExecutionStatus.FAILED
    assert f"{instance} is stopped" in harness.step(execution, "running").error["message"]
    (found,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    assert found["Instances"][0]["State"]["Name"] == "stopped"


@pytest.fixture
def zone(url: str) -> str:
    route53 = aws.client(url, "route53")
    made = route53.create_hosted_zone(Name="example.com", CallerReference=str(uuid4()))["HostedZone"]["Id"]
    return str(made).rpartition("/")[2]


def record(name: str, value: str, **more: Any) -> dict[str, Any]:
    said = {"Name": name, "Type": "CNAME", "TTL": 300, "ResourceRecords": [{"Value": value}], **more}
    return {"Action": "CREATE", "ResourceRecordSet": said}


def records(url: str, zone: str) -> dict[tuple[str, str], Any]:
    """CNAMEs by name and SetIdentifier."""
    found = aws.client(url, "route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return {(each["Name"], each.get("SetIdentifier", "")): each for each in found if each["Type"] == "CNAME"}


def test_a_record_is_changed(harness: Harness, url: str, zone: str) -> None:
    change = record("www.example.com", "old.example.com")
    aws.client(url, "route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [change]})
    slug = aws.approved(harness, url, "aws-route53-record", edits=[(ZONE, zone)])
    execution, status = aws.run(harness, slug, name="www.example.com", type="CNAME", value="new.example.com")
    assert status is ExecutionStatus.SUCCESS, aws.troubles(harness, execution)
    is_now = records(url, zone)["www.example.com.", ""]
    assert (is_now["TTL"], is_now["ResourceRecords"]) == (60, [{"Value": "new.example.com"}])


def test_a_record_that_is_not_there_is_not_made(harness: Harness, url: str, zone: str) -> None:
    slug = aws.approved(harness, url, "aws-route53-record", edits=[(ZONE, zone)])
    execution, status = aws.run(harness, slug, name="ww.example.com", type="CNAME", value="new.example.com")
    assert status is ExecutionStatus.FAILED
    assert harness.all_steps(execution)["simple"] == "FAILED"
    assert records(url, zone) == {}


@pytest.mark.parametrize("resolver", ["us", "eu"])
def test_traffic_moves_and_moves_back(harness: Harness, target: Target, url: str, zone: str, resolver: str) -> None:
    """Where the resolver never answers with the new region, the weights are what they were."""
    both = [
        record("shop.example.com", f"{region}.shop.example.com", SetIdentifier=region, Weight=weight)
        for region, weight in (("eu", 100), ("us", 0))
    ]
    aws.client(url, "route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": both})
    told = json.dumps({"Status": 0, "Answer": [{"type": 5, "data": f"{resolver}.shop.example.com."}]})
    target.does["/resolve"] = [answer(told.encode(), "200 OK", "Content-Type: application/json")]
    health = ("https://{{ params.to }}.shop.example.com/health", target.url("/health/{{ params.to }}"))
    resolves = {"url": target.url(""), "allow_private": True}
    slug = aws.approved(harness, url, "dns-failover", edits=[(ZONE, zone), health], dns_resolver=resolves)
    execution, status = aws.run(harness, slug, to="us")
    weights = {region: each["Weight"] for (_, region), each in records(url, zone).items()}
    assert (status, weights) == {
        "us": (ExecutionStatus.SUCCESS, {"eu": 0, "us": 100}),
        "eu": (ExecutionStatus.FAILED, {"eu": 100, "us": 0}),
    }[resolver], aws.troubles(harness, execution)


def test_a_database_is_restored(harness: Harness, url: str) -> None:
    ec2, rds = aws.client(url, "ec2"), aws.client(url, "rds")
    subnets = [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]]
    rds.create_db_subnet_group(DBSubnetGroupName="private", DBSubnetGroupDescription="Private", SubnetIds=subnets)
    source = {"DBInstanceClass": "db.t3.micro", "Engine": "postgres", "AllocatedStorage": 20, "MasterUsername": "u"}
    kept = {"DBSubnetGroupName": "private", "BackupRetentionPeriod": 7}
    rds.create_db_instance(DBInstanceIdentifier="orders", MasterUserPassword="not-a-password", **source, **kept)
    slug = aws.approved(harness, url, "aws-rds-restore")
    moment = f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    execution, status = aws.run(harness, slug, source="orders", restored="orders-restored", moment=moment)
    assert status is ExecutionStatus.SUCCESS, aws.troubles(harness, execution)
    (made,) = rds.describe_db_instances(DBInstanceIdentifier="orders-restored")["DBInstances"]
    assert made["DBInstanceStatus"] == "available"
    for name in ("orders-restored", "orders"):
        rds.modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=False)
        rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    rds.delete_db_subnet_group(DBSubnetGroupName="private")


def _online(_self: Any) -> str:
    """DescribeInstanceInformation, which moto has not: the answer of AWS for an agent that is connected."""
    return json.dumps({"InstanceInformationList": [{"InstanceId": "i-0abc1234def567890", "PingStatus": "Online"}]})


def test_a_command_is_run(harness: Harness, url: str, instance: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.ssm.responses import SimpleSystemManagerResponse

    monkeypatch.setattr(SimpleSystemManagerResponse, "describe_instance_information", _online, raising=False)
    slug = aws.approved(harness, url, "aws-ssm-command")
    execution, status = aws.run(harness, slug, instance=instance, command="systemctl restart nginx")
    assert status is ExecutionStatus.SUCCESS, aws.troubles(harness, execution)
    (sent,) = aws.client(url, "ssm").list_commands(InstanceId=instance)["Commands"]
    assert sent["Parameters"]["commands"] == ["systemctl restart nginx"]


@pytest.fixture
def function(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A function of moto's that no container runs: it is only said to have been invoked."""
    from moto.core.config import default_user_config

    monkeypatch.setitem(default_user_config["lambda"], "use_docker", False)
    package = BytesIO()
    with ZipFile(package, "w") as archive:
        archive.writestr("main.py", "def handle(event, context): return event")
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}]}
    iam, lambda_ = aws.client(url, "iam"), aws.client(url, "lambda")
    role = iam.create_role(RoleName="runs-functions", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    code = {"ZipFile": package.getvalue()}
    lambda_.create_function(
        FunctionName="drain-queue", Runtime="python3.11", Role=role, Handler="main.handle", Code=code
    )
    yield "drain-queue"
    lambda_.delete_function(FunctionName="drain-queue")
    iam.delete_role(RoleName="runs-functions")


@pytest.mark.parametrize("failing", [False, True])
def test_a_function_is_invoked(
    harness: Harness, url: str, function: str, failing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that raises is answered with 200 and a header, and fails the run."""
    from moto.awslambda_simple.models import LambdaSimpleBackend

    def raised(_self: Any, _name: str, _qualifier: str, _body: Any, _headers: Any, answered: dict[str, str]) -> bytes:
        answered["x-amz-function-error"] = "Unhandled"
        return b'{"errorMessage": "no such queue", "errorType": "KeyError"}'

    if failing:
        monkeypatch.setattr(LambdaSimpleBackend, "invoke", raised)
    slug = aws.approved(harness, url, "aws-lambda-invoke")
    execution, status = aws.run(harness, slug, function=function)
    assert status is (ExecutionStatus.FAILED if failing else ExecutionStatus.SUCCESS), aws.troubles(harness, execution)
