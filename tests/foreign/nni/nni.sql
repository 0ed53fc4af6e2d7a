BEGIN TRANSACTION;
CREATE TABLE ExperimentProfile (
    params text,
    id text,
    execDuration integer,
    startTime integer,
    endTime integer,
    logDir text,
    nextSequenceId integer,
    revision integer);
INSERT INTO "ExperimentProfile" VALUES('{"experimentType":"hpo","searchSpace":{"lr":{"_type":"choice","_value":[0.1,0.01]},"batch_norm":{"_type":"choice","_value":[true,false]},"seed":{"_type":"choice","_value":[0,1]}},"trialCommand":"/venv/bin/python trial.py","trialCodeDirectory":"/data","trialConcurrency":2,"maxTrialNumber":8,"useAnnotation":false,"debug":false,"logLevel":"info","experimentWorkingDirectory":"/data/exps","tuner":{"name":"GridSearch","classArgs":{}},"trainingService":{"platform":"local","trialCommand":"/venv/bin/python trial.py","trialCodeDirectory":"/data","debug":false,"maxTrialNumberPerGpu":1,"reuseMode":false}}','4am5l29q',41,1795795217940,1795795264527,'/data/exps/4am5l29q',8,16);
CREATE TABLE MetricData (timestamp integer, trialJobId text, parameterId text, type text, sequence integer, data text);
INSERT INTO "MetricData" VALUES(1795795234790,'SqfUJ','0','PERIODICAL',0,'"0.6"');
INSERT INTO "MetricData" VALUES(1795795234842,'SqfUJ','0','PERIODICAL',1,'"0.3"');
INSERT INTO "MetricData" VALUES(1795795234865,'SqfUJ','0','PERIODICAL',2,'"0.4"');
INSERT INTO "MetricData" VALUES(1795795234895,'SqfUJ','0','FINAL',0,'"0.4"');
INSERT INTO "MetricData" VALUES(1795795234986,'qvC0Q','1','PERIODICAL',0,'"0.61"');
INSERT INTO "MetricData" VALUES(1795795234989,'qvC0Q','1','PERIODICAL',1,'"0.31"');
INSERT INTO "MetricData" VALUES(1795795244072,'scpGf','3','PERIODICAL',0,'"0.86"');
INSERT INTO "MetricData" VALUES(1795795244095,'scpGf','3','PERIODICAL',1,'"NaN"');
INSERT INTO "MetricData" VALUES(1795795244110,'scpGf','3','PERIODICAL',2,'"NaN"');
INSERT INTO "MetricData" VALUES(1795795244122,'scpGf','3','FINAL',0,'"NaN"');
CREATE TABLE TrialJobEvent (
    timestamp integer,
    trialJobId text,
    event text,
    data text,
    logPath text,
    sequenceId integer,
    message text,
    environmentId text);
INSERT INTO "TrialJobEvent" VALUES(1795795227633,'qvC0Q','RUNNING','{"parameter_id": 0, "parameter_source": "algorithm", "parameters": {"lr": 0.1, "batch_norm": true, "seed": 0}, "parameter_index": 0}','/data/exps/4am5l29q/environments/local-env/trials/qvC0Q',0,NULL,'local-env');
INSERT INTO "TrialJobEvent" VALUES(1795795227756,'SqfUJ','RUNNING','{"parameter_id": 1, "parameter_source": "algorithm", "parameters": {"lr": 0.1, "batch_norm": true, "seed": 1}, "parameter_index": 0}','/data/exps/4am5l29q/environments/local-env/trials/SqfUJ',1,NULL,'local-env');
INSERT INTO "TrialJobEvent" VALUES(1795795235685,'SqfUJ','SUCCEEDED',NULL,'/data/exps/4am5l29q/environments/local-env/trials/SqfUJ',1,NULL,'local-env');
INSERT INTO "TrialJobEvent" VALUES(1795795236445,'qvC0Q','FAILED',NULL,'/data/exps/4am5l29q/environments/local-env/trials/qvC0Q',0,NULL,'local-env');
INSERT INTO "TrialJobEvent" VALUES(1795795237623,'scpGf','RUNNING','{"parameter_id": 3, "parameter_source": "algorithm", "parameters": {"lr": 0.1, "batch_norm": false, "seed": 1}, "parameter_index": 0}','/data/exps/4am5l29q/environments/local-env/trials/scpGf',3,NULL,'local-env');
INSERT INTO "TrialJobEvent" VALUES(1795795245530,'scpGf','SUCCEEDED',NULL,'/data/exps/4am5l29q/environments/local-env/trials/scpGf',3,NULL,'local-env');
CREATE INDEX TrialJobEvent_trialJobId on TrialJobEvent(trialJobId);
CREATE INDEX TrialJobEvent_event on TrialJobEvent(event);
CREATE INDEX MetricData_trialJobId on MetricData(trialJobId);
CREATE INDEX MetricData_type on MetricData(type);
CREATE INDEX ExperimentProfile_id on ExperimentProfile(id);
COMMIT;
